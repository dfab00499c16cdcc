package problem

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/tidegate-io/tidegate/fault"
)

const (
	maxAlertRules = 500
	// replayed is at how many times of the past a rule is evaluated after a
	// start, to know what crosses its limit already.
	replayed = 60
	// queryTimeout bounds one evaluation.
	queryTimeout = 10 * time.Second
)

// AlertConfig configures an [AlertWatch]. Querier and Observer are required.
type AlertConfig struct {
	Querier  Querier
	Observer Observer
	Clock    func() time.Time // default time.Now
	Logger   *slog.Logger     // nil discards
}

// AlertWatch evaluates alert rules. It keeps no state on disk: after a restart
// it goes on with the events that last and evaluates the time for which a limit
// must be crossed again.
type AlertWatch struct {
	cfg AlertConfig

	mu      sync.Mutex // guards rules; held while they are evaluated
	rules   []*alertRule
	adopted bool
	lasting []Event
}

// NewAlertWatch returns a watch without rules.
func NewAlertWatch(cfg AlertConfig) (*AlertWatch, error) {
	if cfg.Querier == nil || cfg.Observer == nil {
		return nil, fault.Invalid("problem: AlertConfig.Querier and Observer are required")
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &AlertWatch{cfg: cfg}, nil
}

// Define replaces the rules, or none when one of them is invalid. A rule that
// did not change keeps its state. The events of rules that are gone expire.
func (w *AlertWatch) Define(rules []AlertRule) error {
	if len(rules) > maxAlertRules {
		return fault.Invalid("%d alerts, the limit is %d", len(rules), maxAlertRules)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []*alertRule
	for _, r := range rules {
		if err := r.Validate(); err != nil {
			return fmt.Errorf("alert %q: %w", r.Name, err)
		}
		r.Labels = nil
		at := slices.IndexFunc(w.rules, func(x *alertRule) bool { return fmt.Sprintf("%+v", x.AlertRule) == fmt.Sprintf("%+v", r) })
		if at >= 0 {
			out = append(out, w.rules[at])
			continue
		}
		out = append(out, &alertRule{AlertRule: r})
	}
	w.rules = out
	return nil
}

// Run evaluates the rules until ctx ends.
func (w *AlertWatch) Run(ctx context.Context) error {
	tick := time.NewTicker(minAlertEvery)
	defer tick.Stop()
	for {
		if err := w.look(ctx); err != nil && ctx.Err() == nil {
			w.cfg.Logger.WarnContext(ctx, "alerts are not evaluated; trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look evaluates the rules that are due. A query that fails leaves the state of
// its rule as it is.
func (w *AlertWatch) look(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.cfg.Clock()
	if !w.adopted {
		lasting, err := w.cfg.Observer.OpenEvents(ctx, SourceAlert)
		if err != nil {
			return err
		}
		w.lasting, w.adopted = lasting, true
	}
	var events []Event
	for _, r := range w.rules {
		if now.Before(r.next) {
			continue
		}
		raised, err := w.evaluate(ctx, r, now)
		if err == nil || !r.broken {
			r.broken = err != nil
			if err != nil {
				w.cfg.Logger.WarnContext(ctx, "the query of an alert fails", "alert", r.Name, "error", err)
			}
		}
		r.next = now.Add(r.every())
		events = append(events, raised...)
	}
	for batch := range slices.Chunk(events, maxObservation) {
		if _, err := w.cfg.Observer.Observe(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

func (w *AlertWatch) evaluate(ctx context.Context, r *alertRule, now time.Time) ([]Event, error) {
	if r.series == nil {
		if err := w.start(ctx, r, now); err != nil {
			r.series = nil // as if it had not begun
			return nil, err
		}
	}
	samples, err := w.query(ctx, r, now)
	if err != nil {
		return nil, err
	}
	return r.evaluate(samples, now), nil
}

// start makes up for the time in which the rule was not evaluated.
func (w *AlertWatch) start(ctx context.Context, r *alertRule, now time.Time) error {
	r.series = map[string]*alertSeries{}
	if r.For > 0 {
		step := max(r.every(), r.For/replayed)
		for at := now.Add(-r.For); at.Before(now); at = at.Add(step) {
			samples, err := w.query(ctx, r, at)
			if err != nil {
				return err
			}
			r.evaluate(samples, at)
		}
	}
	var mine []Event
	w.lasting = slices.DeleteFunc(w.lasting, func(e Event) bool {
		is := e.Tags["rule"] == r.Name
		if is {
			mine = append(mine, e)
		}
		return is
	})
	r.adopt(mine)
	return nil
}

func (w *AlertWatch) query(ctx context.Context, r *alertRule, at time.Time) ([]Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	return w.cfg.Querier.Query(ctx, r.Query, at)
}
