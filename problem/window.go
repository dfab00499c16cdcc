package problem

import (
	"slices"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
)

// Window is a maintenance window: a time in which nobody is alerted of some
// services. Problems are opened and analysed all the same.
type Window struct {
	Name         string            `json:"name"`
	Labels       map[string]string `json:"labels,omitempty"`
	Services     []string          `json:"services,omitempty"`
	Environments []string          `json:"environments,omitempty"`
	From         time.Time         `json:"from"`
	To           time.Time         `json:"to"`
	// Every, when set, repeats the window: daily or weekly, for example.
	Every  time.Duration `json:"every,omitempty"`
	Reason string        `json:"reason,omitempty"`
}

// Validate checks the definition. The error is a fault of KindInvalid that
// names the place.
func (w *Window) Validate() error {
	switch {
	case w.From.IsZero():
		return fault.InvalidField("spec.from", "is missing: expected a time such as 2026-05-01T22:00:00Z")
	case !w.To.After(w.From):
		return fault.InvalidField("spec.to", "expected a time after from")
	case w.Every < 0, w.Every > 0 && w.Every < w.To.Sub(w.From):
		return fault.InvalidField("spec.every", "is shorter than the window")
	}
	return nil
}

// End returns the end of the window that t is in; false when t is in none.
func (w *Window) End(t time.Time) (time.Time, bool) {
	if t.Before(w.From) {
		return time.Time{}, false
	}
	from := w.From
	if w.Every > 0 {
		from = from.Add(t.Sub(w.From) / w.Every * w.Every)
	}
	to := from.Add(w.To.Sub(w.From))
	return to, t.Before(to)
}

// covers reports whether the window is about every impacted service.
func (w *Window) covers(places []entity.Ref) bool {
	if len(places) == 0 {
		return len(w.Services) == 0 && len(w.Environments) == 0
	}
	return !slices.ContainsFunc(places, func(p entity.Ref) bool {
		return len(w.Services) > 0 && !slices.Contains(w.Services, p.Service) ||
			len(w.Environments) > 0 && !slices.Contains(w.Environments, p.Environment)
	})
}
