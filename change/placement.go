package change

import (
	"context"
	"fmt"
	"time"

	"github.com/tidegate-io/tidegate/entity"
)

// PlacementState says whether the entities of a selector have been found.
type PlacementState string

// The states.
const (
	PlacementWaiting   PlacementState = "waiting"   // nothing matches yet
	PlacementPlaced    PlacementState = "placed"    // something did, later
	PlacementUnmatched PlacementState = "unmatched" // nothing did in time
)

// Placement is what became of a selector that matched nothing when its event
// came in. Services appear after their deployment, so such an event waits
// instead of being refused; events whose selector matched at once have none.
type Placement struct {
	State PlacementState `json:"state" enum:"waiting,placed,unmatched"`
	// Until is when waiting ends.
	Until time.Time `json:"until"`
	// At is when it was placed.
	At time.Time `json:"at,omitzero"`
	// Reason is one sentence for people.
	Reason string `json:"reason"`
}

// Placer is implemented by stores that can keep events waiting for their
// entities. Safe for concurrent use.
type Placer interface {
	// Waiting returns the events whose placement is waiting, those whose wait
	// ends first in front; at most limit.
	Waiting(ctx context.Context, limit int) ([]Event, error)
	// Place replaces the places and the placement of an event that waits, and
	// reports false when it does not wait any more.
	Place(ctx context.Context, e Event) (bool, error)
}

// Waiting for entities.
const (
	defaultWait    = 10 * time.Minute
	placeEvery     = 2 * time.Second
	placedAtOnce   = 1000
	reasonAbsent   = "No entity matches %s yet; waiting until %s for one to be seen."
	reasonPlaced   = "Placed %s after it was reported, when the first entity that matches was seen."
	reasonNotFound = "No entity that matches %s was seen within %s."
)

// wait makes an event whose selector matches nothing wait, where the store can.
func (l *Log) wait(e Event) Event {
	if _, ok := l.store.(Placer); !ok || len(e.Entities) > 0 {
		return e
	}
	until := e.Received.Add(l.waitFor)
	e.Placement = &Placement{State: PlacementWaiting, Until: until,
		Reason: fmt.Sprintf(reasonAbsent, e.Selector, until.Format(time.RFC3339))}
	return e
}

// Run places events that wait for their entities until ctx ends.
func (l *Log) Run(ctx context.Context) error {
	if _, ok := l.store.(Placer); !ok || l.entities == nil {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(placeEvery)
	defer tick.Stop()
	for {
		if err := l.PlaceWaiting(ctx); err != nil && ctx.Err() == nil {
			l.logger.ErrorContext(ctx, "events that wait for their entities", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// PlaceWaiting looks once at the events that wait: those whose selector
// matches by now are placed, those whose time is over are given up.
func (l *Log) PlaceWaiting(ctx context.Context) error {
	placer, ok := l.store.(Placer)
	if !ok || l.entities == nil {
		return nil
	}
	waiting, err := placer.Waiting(ctx, placedAtOnce)
	if err != nil || len(waiting) == 0 {
		return err
	}
	known, err := l.entities.Entities(ctx)
	if err != nil {
		return err
	}
	for _, e := range waiting {
		changed, ok := l.placeNow(e, known)
		if !ok {
			continue
		}
		placed, err := placer.Place(ctx, changed)
		if err != nil {
			return fmt.Errorf("place event %s: %w", e.ID, err)
		}
		if placed && l.placed != nil {
			l.placed(ctx, changed)
		}
	}
	return nil
}

// placeNow looks at one event that waits; ok is false when it goes on waiting.
func (l *Log) placeNow(e Event, known []entity.Entity) (_ Event, ok bool) {
	now := l.now().UTC()
	p := *e.Placement
	s, err := entity.ParseSelector(e.Selector)
	if err == nil {
		e.Entities = matching(s, known)
	}
	switch {
	case len(e.Entities) > 0:
		e.Service = spelledAsSeen(e.Service, e.Entities)
		p.State, p.At = PlacementPlaced, now
		p.Reason = fmt.Sprintf(reasonPlaced, now.Sub(e.Received).Round(time.Second))
	case now.Before(p.Until) && err == nil:
		return e, false
	default:
		p.State = PlacementUnmatched
		p.Reason = fmt.Sprintf(reasonNotFound, e.Selector, p.Until.Sub(e.Received).Round(time.Second))
	}
	e.Placement = &p
	return e, true
}
