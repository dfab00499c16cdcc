package evidence

import (
	"context"
	"sort"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/telemetry"
)

const (
	// warnSeverity is OpenTelemetry's severity number of WARN: lower lines
	// come and go with traffic.
	warnSeverity = 13
	maxLogs      = 20
	maxServices  = 6
	maxAlso      = 20 // more that were asked for
	maxTraceIDs  = 5
	maxBody      = 4 << 10
	// A template has risen when it is this many times as frequent as in the
	// baseline, and by at least so many lines.
	risenFactor = 3
	risenLines  = 5
)

// lines counts the lines of one template of one service.
type lines struct {
	LogTemplate
	template *template
	traces   map[telemetry.TraceID]bool
	linked   bool // one of its lines belongs to a failing request
}

// logs finds the message templates, warnings or worse, that are new or more
// frequent than in the baseline, in the target and where failures began.
func (g *gathering) logs(ctx context.Context) {
	if g.Logs == nil {
		g.gap("no log store", nil)
		return
	}
	var found []*lines
	for _, ref := range g.logServices() {
		some, err := g.logsOf(ctx, ref)
		if err != nil {
			g.gap("logs of "+ref.Service+" could not be read", err)
			continue
		}
		found = append(found, some...)
	}
	sort.Slice(found, func(i, j int) bool {
		a, b := found[i], found[j]
		switch {
		case a.linked != b.linked:
			return a.linked
		case a.New != b.New:
			return a.New
		case a.Count != b.Count:
			return a.Count > b.Count
		}
		return a.Service+a.Template < b.Service+b.Template
	})
	for _, l := range found[:min(len(found), maxLogs)] {
		g.out.Logs = append(g.out.Logs, l.LogTemplate)
	}
}

// logServices are the origins of the largest groups, then the services on
// their paths, then the target, then what was asked for.
func (g *gathering) logServices() []entity.Ref {
	var out []entity.Ref
	seen := map[entity.Ref]bool{}
	add := func(r entity.Ref) {
		r.Version = "" // another version's lines tell as much
		if r.Service != "" && !seen[r] && len(out) < maxServices+min(len(g.Also), maxAlso) {
			seen[r] = true
			out = append(out, r)
		}
	}
	groups := g.groups[:min(len(g.groups), searched)]
	for _, gr := range groups {
		add(gr.origin)
	}
	if g.slowGroup != nil {
		add(g.slowGroup.origin)
	}
	for _, gr := range groups {
		for _, r := range sortedRefs(gr.places) {
			add(r)
		}
	}
	add(g.Target)
	for _, r := range g.Also {
		add(r)
	}
	return out
}

func sortedRefs(set map[entity.Ref]bool) []entity.Ref {
	out := make([]entity.Ref, 0, len(set))
	for r := range set {
		out = append(out, r)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].String() < out[j].String() })
	return out
}

func (g *gathering) logsOf(ctx context.Context, ref entity.Ref) ([]*lines, error) {
	q := telemetry.LogQuery{Ref: ref, MinSeverity: warnSeverity, From: g.Window.From, To: g.Window.To, Limit: g.Limits.Logs}
	now, err := g.Logs.Logs(ctx, q)
	if err != nil || len(now) == 0 {
		return nil, err
	}
	q.From, q.To = g.Baseline.From, g.Baseline.To
	before, err := g.Logs.Logs(ctx, q)
	if err != nil {
		return nil, err
	}
	return g.compareLogs(now, before), nil
}

// compareLogs mines both sides with one miner, so that templates are the same.
func (g *gathering) compareLogs(now, before []telemetry.LogRecord) []*lines {
	failing := map[telemetry.TraceID]bool{}
	for _, gr := range g.groups {
		for id := range gr.seen {
			failing[id] = true
		}
	}
	m := newMiner()
	byTemplate := map[*template]*lines{}
	for _, r := range now { // newest first
		t := m.add(clip(r.Body, maxBody))
		if t == nil {
			continue
		}
		l := byTemplate[t]
		if l == nil {
			sample := r
			sample.Body = clip(r.Body, maxBody)
			l = &lines{template: t, traces: map[telemetry.TraceID]bool{},
				LogTemplate: LogTemplate{Service: r.Service, Severity: r.Severity, Sample: sample}}
			byTemplate[t] = l
		}
		l.count(r, failing)
	}
	for _, r := range before {
		if l := byTemplate[m.add(clip(r.Body, maxBody))]; l != nil {
			l.Baseline++
		}
	}
	return g.risen(m, byTemplate)
}

func (l *lines) count(r telemetry.LogRecord, failing map[telemetry.TraceID]bool) {
	l.Same = (l.Count == 0 || l.Same) && clip(r.Body, maxBody) == l.Sample.Body
	l.Count++
	if l.First.IsZero() || r.Time.Before(l.First) {
		l.First = r.Time
	}
	if r.TraceID.IsZero() || l.traces[r.TraceID] {
		return
	}
	l.linked = l.linked || failing[r.TraceID]
	if len(l.traces) < maxTraceIDs {
		l.traces[r.TraceID] = true
		l.TraceIDs = append(l.TraceIDs, r.TraceID)
	}
}

func (g *gathering) risen(m *miner, byTemplate map[*template]*lines) []*lines {
	scale := g.Window.Length().Seconds() / g.Baseline.Length().Seconds()
	var out []*lines
	for _, t := range m.all {
		l := byTemplate[t]
		if l == nil {
			continue
		}
		expected := float64(l.Baseline) * scale
		l.New = l.Baseline == 0
		if l.New || float64(l.Count) >= risenFactor*expected && float64(l.Count) >= expected+risenLines {
			l.Template = t.String()
			l.Same = l.Same && l.Count > 1
			out = append(out, l)
		}
	}
	return out
}
