package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/notify"
)

// TypeComment is the message type of a comment on another monitor's problem.
const TypeComment = "problem.comment"

// Comment is what is said about a problem that another monitor reported.
type Comment struct {
	Key     string // makes it one message per channel
	System  string // dynatrace, …
	Problem string // its id there
	Who     string
	Text    string
}

// Comment stores the comment for every channel that speaks to the problem's
// system: for Dynatrace as its API v1 has it,
// POST /api/v1/problem/details/{problem}/comments. It is idempotent by the key;
// a system without a channel is nothing to do.
func (s *Sender) Comment(ctx context.Context, c Comment) error {
	if c.System != "dynatrace" || c.Problem == "" {
		return nil
	}
	body, err := json.Marshal(map[string]string{"comment": c.Text, "user": c.Who, "context": "Tidegate"})
	if err != nil {
		return fault.Internal("comment: %w", err)
	}
	for _, name := range s.dynatraces() {
		if err := s.put(ctx, notify.Message{ID: c.Key + "@" + name, Channel: name, Type: TypeComment, ContentType: "application/json",
			Path: "/api/v1/problem/details/" + url.PathEscape(c.Problem) + "/comments", Body: body, Created: s.cfg.Clock()}); err != nil {
			return fmt.Errorf("comment on %s to channel %s: %w", c.Problem, name, err)
		}
	}
	return nil
}

// dynatraces are the channels to Dynatrace environments. Which of several a
// problem came from it does not say: the others answer that they do not know it.
func (s *Sender) dynatraces() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var names []string
	for name, c := range s.channels {
		if c.Dynatrace != nil {
			names = append(names, name)
		}
	}
	return names
}
