package webhook

import (
	"context"
	"slices"

	"github.com/tidegate-io/tidegate/change"
)

// PublishTo stores the event for channels whether or not they subscribe to its
// type; once for each channel, even if one does. A channel that does not exist
// is a fault of KindNotFound, and then nothing is stored.
func (s *Sender) PublishTo(ctx context.Context, e change.Event, channels []string) error {
	for _, c := range channels {
		if _, err := s.channel(c); err != nil {
			return err
		}
	}
	unique := slices.Clone(channels)
	slices.Sort(unique)
	return s.publish(ctx, e, slices.Compact(unique))
}
