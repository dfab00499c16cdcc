package guardian

import (
	"context"
	"fmt"
	"time"

	"github.com/tidegate-io/tidegate/judge"
)

const (
	// maxLooks bounds the looks kept of a validation, over all its objectives.
	maxLooks = 2000
	// lookWithin bounds a look; what it could not read the next one reads.
	lookWithin = 30 * time.Second
	// defaultAlpha is package judge's.
	defaultAlpha = 0.01
	// restBetweenLooks, in lengths of the last look, leaves room for other
	// validations where reading takes longer than a slice.
	restBetweenLooks = 4
)

// Watch is how the watch objectives of a validation went while its window was
// still open: they were looked at after every slice.
type Watch struct {
	// Until is the end of the window that was asked for. A fail ends the
	// validation, and its Window, earlier.
	Until   time.Time     `json:"until"`
	Courses []WatchCourse `json:"courses"`
}

// WatchCourse is what the looks saw of one objective.
type WatchCourse struct {
	Objective string     `json:"objective"`
	Kind      judge.Kind `json:"kind"`
	Unit      string     `json:"unit,omitempty"`
	// Status at the last look.
	Status judge.Status `json:"status"`
	// FailAt is the e-value that fails it: 1/α, corrected for the number of
	// objectives.
	FailAt float64 `json:"failAt"`
	// Looks are in the order of time. Where there were very many, those close
	// to each other are one.
	Looks []Look `json:"looks"`
}

// Look is what was known of an objective at one time.
type Look struct {
	// Time is the end of the telemetry that was read.
	Time     time.Time    `json:"time"`
	EValue   judge.Number `json:"eValue"`
	Estimate judge.Number `json:"estimate"`
	Baseline judge.Number `json:"baseline"`
	N        float64      `json:"n"`
	// Needed is how many more requests would decide for a pass; 0 if unknown.
	Needed float64 `json:"needed,omitempty"`
}

// watched are the objectives that may be judged at any time.
func (g Guardian) watched() []Objective {
	var out []Objective
	for _, o := range g.Objectives {
		if o.Watch != nil {
			out = append(out, o)
		}
	}
	return out
}

// nextLook is when a validation is to be done next: after the next slice of a
// watch has settled, and otherwise when it is due.
func (g Guardian) nextLook(v Validation, now time.Time) time.Time {
	due := g.due(v)
	if len(g.watched()) == 0 || !now.Before(due) {
		return due
	}
	settle := due.Sub(v.Window.To)
	next := v.Window.From
	if to := g.settled(v, now); !to.Before(next) {
		next = to
	}
	if at := next.Add(sliceOf(v.asked().Length()) + settle); at.Before(due) {
		return at
	}
	return due
}

// settled is the end of the last slice whose telemetry is expected to be
// complete; before the window when there is none yet.
func (g Guardian) settled(v Validation, now time.Time) time.Time {
	slice := sliceOf(v.asked().Length())
	since := now.Add(v.Window.To.Sub(g.due(v))).Sub(v.Window.From)
	if since < 0 {
		return v.Window.From.Add(-slice)
	}
	return v.Window.From.Add(since.Truncate(slice))
}

// asked is the window that was asked for, of which the slices are cut.
func (v Validation) asked() Window {
	if v.Watch != nil {
		return Window{From: v.Window.From, To: v.Watch.Until}
	}
	return v.Window
}

// watch looks at a validation whose window is still open and returns when to
// come back; zero when a fail has finished it. A look that was missed, or
// could not read, is not made up for: the evidence of the next one includes
// what it would have seen.
func (s *Service) watch(ctx context.Context, g Guardian, v Validation) (next time.Time, err error) {
	begun := s.now()
	to := g.settled(v, begun)
	if len(g.watched()) == 0 || !to.After(v.Window.From) {
		return g.nextLook(v, begun), nil
	}
	if v.Watch == nil {
		v.Watch = &Watch{Until: v.Window.To, Courses: []WatchCourse{}}
		if err := s.begin(ctx, &v); err != nil {
			return next, err
		}
	}
	failed, err := s.look(ctx, g.WithDefaults(), &v, to)
	if failed {
		ended := v
		ended.Window.To = to
		err = s.examine(ctx, &ended)
		if err == nil && ended.Status == judge.StatusFail { // not taken back by what was read since
			return next, s.finish(ctx, ended)
		}
	}
	if ctx.Err() != nil {
		return next, ctx.Err()
	}
	if err != nil { // the end of the window decides what this means
		s.log.Warn("look at a watch failed", "validation", v.ID, "guardian", v.Guardian, "error", err)
		v.Headline = "Watching: the last look failed: " + err.Error()
	}
	if err := s.store.Update(ctx, v); err != nil {
		return next, err
	}
	s.tell(v)
	return g.nextLook(v, s.now().Add(restBetweenLooks*s.now().Sub(begun))), nil
}

// look judges the watch objectives up to a time, and reports whether one of
// them fails the validation whatever the other objectives will be. No more
// than their share of alpha is spent on them, so that the looks and the
// verdict at the end together keep to it: the smallest p-value has to clear
// the level that Holm's method will hold it to.
func (s *Service) look(ctx context.Context, g Guardian, v *Validation, to time.Time) (failed bool, err error) {
	defer s.caught(v.ID, &err)
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	slice := sliceOf(v.asked().Length())
	var measured []measurement
	var inputs []judge.Input
	for _, o := range g.watched() {
		m, err := s.read(ctx, o, Reading{Indicator: o.Indicator, Target: o.target(g), Window: Window{From: v.Window.From, To: to}, Slice: slice})
		if err != nil {
			return false, fmt.Errorf("read %q: %w", o.Name, err)
		}
		if o.leftOut(m) {
			continue
		}
		measured, inputs = append(measured, m), append(inputs, m.input)
	}
	power := true // nothing is decided by having seen little
	share, _ := g.watchAlpha()
	verdict := judge.Judge(judge.Options{Alpha: share, RequirePower: &power}, inputs)
	v.saw(g, verdict, to)
	v.Headline = "Watching: " + soFar(verdict, measured)
	return g.failedBy(verdict), nil
}

// watchAlpha is the part of alpha that belongs to the watch objectives among
// all that are tested, and how many of them decide.
func (g Guardian) watchAlpha() (alpha float64, deciding int) {
	alpha = g.Options.Alpha
	if alpha == 0 {
		alpha = defaultAlpha
	}
	tested := 0
	for _, o := range g.Objectives {
		switch {
		case o.Role == judge.RoleInfo:
		case o.Watch != nil:
			deciding++
			tested++
		case o.Adaptive != nil, o.Comparison != nil:
			tested++
		}
	}
	if deciding > 0 {
		alpha *= float64(deciding) / float64(tested)
	}
	return alpha, deciding
}

// failAt is the e-value with which a watch objective fails.
func (g Guardian) failAt(r judge.Role) float64 {
	alpha, deciding := g.watchAlpha()
	if r == judge.RoleInfo {
		return 1 / alpha
	}
	return float64(deciding) / alpha
}

// failedBy reports whether a failed watch fails the whole. Where a score
// decides, only a key objective does.
func (g Guardian) failedBy(v judge.Verdict) bool {
	for _, r := range v.Results {
		if r.Status == judge.StatusFail && (r.Role == judge.RoleKey || r.Role == judge.RoleRequired && g.Options.Score == nil) {
			return true
		}
	}
	return false
}

// saw keeps what a verdict says of the watch objectives at a time.
func (v *Validation) saw(g Guardian, verdict judge.Verdict, at time.Time) {
	if v.Watch == nil {
		return
	}
	for _, r := range verdict.Results {
		if r.Criterion != "watch" {
			continue
		}
		c := v.Watch.course(r.Name)
		c.Kind, c.Unit, c.Status, c.FailAt = r.Kind, r.Unit, r.Status, g.failAt(r.Role)
		c.add(Look{Time: at, EValue: r.EValue, Estimate: r.Estimate, Baseline: r.Baseline, N: r.N, Needed: r.Needed},
			v.asked(), maxLooks/max(len(g.watched()), 1))
	}
}

func (w *Watch) course(objective string) *WatchCourse {
	for i := range w.Courses {
		if w.Courses[i].Objective == objective {
			return &w.Courses[i]
		}
	}
	w.Courses = append(w.Courses, WatchCourse{Objective: objective})
	return &w.Courses[len(w.Courses)-1]
}

// add keeps the last look of each of n equal parts of the window: its evidence
// is the highest so far, so nothing that matters is lost.
func (c *WatchCourse) add(l Look, w Window, n int) {
	part := func(t time.Time) int64 { return int64(t.Sub(w.From)) * int64(n) / int64(w.Length()) }
	if last := len(c.Looks) - 1; last >= 0 && part(c.Looks[last].Time) >= part(l.Time) {
		c.Looks[last] = l
		return
	}
	c.Looks = append(c.Looks, l)
}

// soFar is what is known while a watch runs, as half a sentence.
func soFar(verdict judge.Verdict, measured []measurement) string {
	v := Validation{Verdict: &verdict}
	if m, ok := worst(v, measured); ok {
		return reason(result(v, m.objective.Name))
	}
	switch n := held(v); n {
	case 0:
		return "nothing is decided by what was seen so far"
	case 1:
		return "the watched objective holds so far"
	default:
		return fmt.Sprintf("all %d watched objectives hold so far", n)
	}
}
