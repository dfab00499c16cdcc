package problem

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/telemetry"
)

// Observer takes the events of rules; *Service is one.
type Observer interface {
	Observe(ctx context.Context, events []Event) ([]string, error)
	// OpenEvents returns the events of a source that last.
	OpenEvents(ctx context.Context, source string) ([]Event, error)
}

// Settings of the watch over logs.
const (
	logEvery     = 2 * time.Second
	logLate      = 30 * time.Second // records that come later are not counted
	logPage      = 5000
	logReadLimit = 50_000 // records read of one rule at a time
	maxLogPlaces = 1000   // of one rule
	maxLogRules  = 200
)

// LogConfig configures a [LogWatch]. Logs and Observer are required.
type LogConfig struct {
	Logs     telemetry.LogReader
	Observer Observer
	// Every is how often logs are looked at; default 2 s.
	Every  time.Duration
	Clock  func() time.Time // default time.Now
	Logger *slog.Logger     // nil discards
}

// LogWatch evaluates log rules on the logs that are stored: exactly, as long as
// a record comes at most 30 s after its time. It keeps no state of its own on
// disk: after a restart it reads the logs of the last window again and goes on
// with the events that last.
type LogWatch struct {
	cfg LogConfig

	mu      sync.Mutex // guards rules; held while they are evaluated
	rules   []*logRule
	adopted bool
	lasting []Event // of an earlier process, until their rule takes them over
}

// NewLogWatch returns a watch without rules.
func NewLogWatch(cfg LogConfig) (*LogWatch, error) {
	if cfg.Logs == nil || cfg.Observer == nil {
		return nil, fault.Invalid("problem: LogConfig.Logs and Observer are required")
	}
	if cfg.Every <= 0 {
		cfg.Every = logEvery
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &LogWatch{cfg: cfg}, nil
}

// Define replaces the rules, or none when one of them is invalid. A rule that
// did not change keeps what it has counted. The events of rules that are gone
// expire.
func (w *LogWatch) Define(rules []LogRule) error {
	if len(rules) > maxLogRules {
		return fault.Invalid("%d log rules, the limit is %d", len(rules), maxLogRules)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []*logRule
	for _, r := range rules {
		at := slices.IndexFunc(w.rules, func(x *logRule) bool { return sameRule(x.LogRule, r) })
		if at >= 0 {
			out = append(out, w.rules[at])
			continue
		}
		compiled, err := newLogRule(r)
		if err != nil {
			return fmt.Errorf("log rule %q: %w", r.Name, err)
		}
		out = append(out, compiled)
	}
	w.rules = out
	return nil
}

func sameRule(a, b LogRule) bool {
	a.Labels, b.Labels = nil, nil
	return fmt.Sprintf("%+v", a) == fmt.Sprintf("%+v", b)
}

// Run evaluates the rules until ctx ends.
func (w *LogWatch) Run(ctx context.Context) error {
	tick := time.NewTicker(w.cfg.Every)
	defer tick.Stop()
	for {
		if err := w.look(ctx); err != nil && ctx.Err() == nil {
			w.cfg.Logger.WarnContext(ctx, "log rules are not evaluated; trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look evaluates every rule once.
func (w *LogWatch) look(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.cfg.Clock()
	if !w.adopted {
		lasting, err := w.cfg.Observer.OpenEvents(ctx, SourceLogRule)
		if err != nil {
			return err
		}
		w.lasting, w.adopted = lasting, true
	}
	var events []Event
	for _, r := range w.rules {
		raised, err := w.evaluate(ctx, r, now)
		if err != nil {
			return fmt.Errorf("rule %q: %w", r.Name, err)
		}
		events = append(events, raised...)
	}
	for batch := range slices.Chunk(events, maxObservation) {
		if _, err := w.cfg.Observer.Observe(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// evaluate reads what is not settled, brings the events up to date and settles
// what can no longer change.
func (w *LogWatch) evaluate(ctx context.Context, r *logRule, now time.Time) ([]Event, error) {
	if r.since.IsZero() {
		r.since = now.Add(-r.Within - logLate)
		r.adopt(w.takeOver(r.Name))
	}
	records, err := w.read(ctx, r, r.since, now)
	if err != nil {
		return nil, err
	}
	fresh := map[entity.Ref][]time.Time{}
	for i := range records {
		l := &records[i]
		if !r.matches(l) {
			continue
		}
		place := entity.Ref{Service: l.Service, Environment: l.Environment}
		c := r.places[place]
		if c == nil {
			if len(r.places) >= maxLogPlaces {
				continue
			}
			c = &logCount{}
			r.places[place] = c
		}
		if c.sample == "" {
			c.sample = cut(l.Body, 1000)
		}
		fresh[place] = append(fresh[place], l.Time)
	}
	settled := now.Add(-logLate)
	var out []Event
	for place, c := range r.places {
		if e := r.raise(place, c, fresh[place], now); e != nil {
			out = append(out, *e)
		}
		c.settle(fresh[place], settled, r.Within)
		if c.event == nil && len(c.settled) == 0 && len(fresh[place]) == 0 {
			delete(r.places, place)
		}
	}
	if settled.After(r.since) {
		r.since = settled
	}
	return out, nil
}

// takeOver returns the events of a rule that last since an earlier process.
func (w *LogWatch) takeOver(rule string) (out []Event) {
	w.lasting = slices.DeleteFunc(w.lasting, func(e Event) bool {
		mine := e.Tags["rule"] == rule
		if mine {
			out = append(out, e)
		}
		return mine
	})
	return out
}

// adopt goes on with events that last.
func (r *logRule) adopt(events []Event) {
	for i := range events {
		e := events[i]
		r.places[entity.Ref{Service: e.Service, Environment: e.Environment}] = &logCount{event: &e, last: e.Seen, counted: int(e.Observed)}
	}
}

// read returns the records of a time that may match, newest first; the newest
// when there are more than are read at once.
func (w *LogWatch) read(ctx context.Context, r *logRule, from, to time.Time) ([]telemetry.LogRecord, error) {
	var out []telemetry.LogRecord
	for {
		page, err := w.cfg.Logs.Logs(ctx, r.query(from, to, logPage))
		if err != nil {
			return nil, err
		}
		if len(page) < logPage {
			return append(out, page...), nil
		}
		// Records of the oldest time may go on beyond the page: they are read again.
		oldest := page[len(page)-1].Time
		whole := slices.IndexFunc(page, func(l telemetry.LogRecord) bool { return !l.Time.After(oldest) })
		if whole == 0 { // a page of one time: enough for any rule that counts
			return append(out, page...), nil
		}
		if out = append(out, page[:whole]...); len(out) >= logReadLimit {
			if !r.crowded {
				w.cfg.Logger.WarnContext(ctx, "a log rule matches more records than are read: make it narrower", "rule", r.Name, "read", logReadLimit)
				r.crowded = true
			}
			return out, nil
		}
		to = oldest.Add(1)
	}
}
