package app

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/tidegate-io/tidegate/internal/manifest"
	"github.com/tidegate-io/tidegate/internal/otlp"
	"github.com/tidegate-io/tidegate/internal/tsdb"
	"github.com/tidegate-io/tidegate/problem"
	"github.com/tidegate-io/tidegate/problem/detect"
)

// How detection goes on.
const (
	// detectSlot is the slot of the span metrics.
	detectSlot = 2 * time.Second
	// detectBehind is how much later than a slot's end it is given up on when
	// it does not settle: ingest that is stuck must not stop the clock.
	detectBehind = 20 * time.Second
	// rememberEvery is how often what was learned is written down.
	rememberEvery = time.Minute
	observeWithin = 10 * time.Second
)

// detection feeds the detector with the slots of the span metrics and the
// values of named series, and problems with what it raises. What was learned
// is kept in a file: it is about the metrics beside it.
type detection struct {
	detector *detect.Detector
	receiver *otlp.Receiver
	metrics  *tsdb.DB
	observer problem.Observer
	file     string
	log      *slog.Logger

	mu     sync.Mutex
	series map[string]watchedSeries
}

type watchedSeries struct {
	detect.Series
	every time.Duration
	next  time.Time
}

func (a *App) openDetection(context.Context) error {
	d, err := detect.New(detect.Options{Logger: a.log.With("part", "detection")})
	if err != nil {
		return err
	}
	a.detection = &detection{detector: d, receiver: a.receiver, metrics: a.metrics, observer: a.problems,
		file: filepath.Join(a.cfg.Dir, "detection.snapshot"), log: a.log.With("part", "detection"), series: map[string]watchedSeries{}}
	a.detection.recall()
	a.detection.define(a.catalog.WatchedSeries())
	return nil
}

// WatchedSeries returns the definitions.
func (c *catalog) WatchedSeries() (out []watchedSeries) {
	for _, e := range c.entries("Series") {
		s := e.Spec.(*manifest.Series)
		out = append(out, watchedSeries{Series: s.Definition(e.Name(), e.Metadata.Labels), every: s.LookEvery()})
	}
	return out
}

// recall reads what an earlier process learned. Without it detection learns
// anew, which is no reason not to start.
func (d *detection) recall() {
	raw, err := os.ReadFile(d.file)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = d.detector.Restore(raw)
	}
	if err != nil {
		d.log.Warn("what is usual has to be learned anew", "file", d.file, "error", err)
	}
}

// remember writes down what was learned, whole or not at all.
func (d *detection) remember() {
	raw, err := d.detector.Snapshot()
	if err == nil {
		err = os.WriteFile(d.file+".new", raw, 0o600)
	}
	if err == nil {
		err = os.Rename(d.file+".new", d.file)
	}
	if err != nil {
		d.log.Error("what is usual could not be written down", "error", err)
	}
}

// define makes these the series that are watched.
func (d *detection) define(all []watchedSeries) {
	d.mu.Lock()
	wanted := map[string]watchedSeries{}
	for _, s := range all {
		s.next = d.series[s.Name].next
		wanted[s.Name] = s
	}
	var gone []string
	for name := range d.series {
		if _, ok := wanted[name]; !ok {
			gone = append(gone, name)
		}
	}
	d.series = wanted
	d.mu.Unlock()
	for _, name := range gone {
		d.raise(context.Background(), d.detector.ForgetSeries(name))
	}
}

// Run observes slot after slot until ctx ends. Slots that passed while it was
// behind are left out: what they held shows in the next ones as well.
func (d *detection) Run(ctx context.Context) error {
	d.raise(ctx, d.detector.Open()) // known before a restart, unless it came between
	at := time.Now().Truncate(detectSlot)
	remembered := time.Now()
	defer d.remember()
	for {
		at = at.Add(detectSlot)
		settle, cancel := context.WithDeadline(ctx, at.Add(detectBehind))
		err := d.receiver.Settled(settle, at)
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			d.observe(ctx, at)
		} else {
			d.log.Warn("a slot is left out", "error", err)
		}
		d.look(ctx, time.Now())
		if now := time.Now(); now.Sub(remembered) > rememberEvery {
			remembered = now
			d.remember()
		}
		if late := time.Since(at); late > detectBehind {
			at = at.Add((late - detectBehind/2).Truncate(detectSlot))
		}
	}
}

// observe gives the detector the slot that ended at a time.
func (d *detection) observe(ctx context.Context, at time.Time) {
	ctx, cancel := context.WithTimeout(ctx, observeWithin)
	defer cancel()
	batch, err := d.metrics.Observe(ctx, at.Add(-detectSlot), at)
	if err != nil {
		d.log.Error("a slot could not be read", "error", err)
		return
	}
	d.raise(ctx, d.detector.Observe(at, detectSlot, batch))
}

// look takes the named series whose time has come.
func (d *detection) look(ctx context.Context, now time.Time) {
	d.mu.Lock()
	var due []watchedSeries
	for name, s := range d.series {
		if !now.Before(s.next) {
			s.next = now.Truncate(s.every).Add(s.every)
			d.series[name] = s
			due = append(due, s)
		}
	}
	d.mu.Unlock()
	for _, s := range due {
		d.raise(ctx, d.detector.ObserveSeries(s.Series, now.Truncate(s.every), s.every, d.value(ctx, s, now)))
	}
}

// value is the series' number at a time; NaN where there is none, or several.
func (d *detection) value(ctx context.Context, s watchedSeries, at time.Time) float64 {
	ctx, cancel := context.WithTimeout(ctx, observeWithin)
	defer cancel()
	matrix, err := d.metrics.Query(ctx, s.Query, at)
	if err != nil {
		d.log.Warn("a watched series could not be read", "series", s.Name, "error", err)
		return math.NaN()
	}
	if len(matrix) != 1 || len(matrix[0].Floats) == 0 {
		return math.NaN()
	}
	return matrix[0].Floats[len(matrix[0].Floats)-1].F
}

func (d *detection) raise(ctx context.Context, events []problem.Event) {
	if len(events) == 0 {
		return
	}
	if _, err := d.observer.Observe(ctx, events); err != nil && ctx.Err() == nil {
		d.log.Error("events could not be raised; those that last are raised again", "events", len(events), "error", err)
	}
}
