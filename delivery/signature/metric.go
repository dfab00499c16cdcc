package signature

import (
	"sort"
	"strings"
)

// known is a metric that monspec files name, as we measure it.
type known struct {
	measure Measure
	// method is set for metrics of single operations.
	method bool
	// scale is what one of our units is in the file's: microseconds and percent.
	scale float64
}

// builtin is the prefix that files may leave out.
const builtin = "com.dynatrace.builtin:"

// timeseries are the metrics of Dynatrace's timeseries API v1 that are known.
var timeseries = map[string]known{
	"service.responsetime":         {ResponseTime, false, 1e6},
	"service.failurerate":          {FailureRate, false, 100},
	"service.requestspermin":       {Requests, false, 1},
	"servicemethod.responsetime":   {ResponseTime, true, 1e6},
	"servicemethod.failurerate":    {FailureRate, true, 100},
	"servicemethod.requestspermin": {Requests, true, 1},
}

// relations are those of smartscape, as the tools that read monspec label
// them: outgoing dependencies, incoming dependencies, instance count.
var relations = map[string]Measure{
	"toRelationships:calls":    Calls,
	"fromRelationships:calls":  CalledBy,
	"fromRelationships:runsOn": RunsOn,
}

func metricNamed(name string) (known, bool) {
	if k, ok := timeseries[strings.TrimPrefix(name, builtin)]; ok {
		return k, true
	}
	r, ok := relations[name]
	return known{measure: r, scale: 1}, ok
}

func metricNames() []string { return append(timeseriesNames(), relationNames()...) }

func timeseriesNames() []string {
	out := make([]string, 0, len(timeseries))
	for name := range timeseries {
		out = append(out, builtin+name)
	}
	sort.Strings(out)
	return out
}

func relationNames() []string {
	out := make([]string, 0, len(relations))
	for name := range relations {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}

// perfsignature reads the metrics of the service, or of one operation.
func (m *monspec) perfsignature(n *node, path, operation string) (out []Metric) {
	m.list(n, path, func(n *node, path string) {
		before := len(m.errs)
		if x := m.metric(n, path, operation); len(m.errs) == before {
			out = append(out, x)
		}
	})
	return out
}

// entry is a metric under construction.
type entry struct {
	Metric
	known
	named, aggregate *member
	upper, lower     *float64
}

func (m *monspec) metric(n *node, path, operation string) Metric {
	e := entry{Metric: Metric{Validate: BoundUpper, Operation: operation}}
	m.object(n, path, func(f *member, path string) bool {
		switch f.key {
		case "timeseries", "smartscape":
			if e.named != nil {
				m.fail(f.at, path, "expected either timeseries or smartscape, found both")
			}
			e.named = f
			m.names(&e, f, path)
		case "aggregate":
			e.aggregate = f
			a, err := ParseAggregate(m.text(&f.node, path))
			if err != nil {
				m.fail(f.node.at, path, "%v", err)
			}
			e.Aggregate = a
		case "validate":
			e.Validate = Bound(m.text(&f.node, path))
			if e.Validate != BoundUpper && e.Validate != BoundLower {
				m.fail(f.node.at, path, "expected upper or lower, found %s", f.describe())
			}
		case "upperlimit":
			e.upper = m.limit(&f.node, path)
		case "lowerlimit":
			e.lower = m.limit(&f.node, path)
		default:
			return false
		}
		return true
	}, "timeseries", "smartscape", "aggregate", "validate", "upperlimit", "lowerlimit")
	if e.named == nil {
		if n.kind == '{' {
			m.fail(n.at, path, "expected timeseries or smartscape")
		}
		return e.Metric
	}
	m.complete(&e, path)
	return e.Metric
}

// names finds the metric that is meant.
func (m *monspec) names(e *entry, f *member, path string) {
	e.Key = m.text(&f.node, path)
	candidates := timeseriesNames()
	ok := false
	if f.key == "smartscape" {
		candidates = relationNames()
		e.measure, ok = relations[e.Key]
		e.scale = 1
	} else {
		e.known, ok = timeseries[strings.TrimPrefix(e.Key, builtin)]
	}
	e.Measure = e.measure
	switch {
	case e.Key == "":
	case !ok:
		m.fail(f.node.at, path, "unknown metric %q%s; known are %s", e.Key, nearest(e.Key, candidates), strings.Join(candidates, ", "))
	case e.method && e.Operation == "":
		m.fail(f.node.at, path, "%q is measured for single operations: put it under servicemethods", e.Key)
	case !e.method && e.Operation != "":
		m.fail(f.node.at, path, "%q is measured for whole services: under servicemethods expected servicemethod.*", e.Key)
	}
}

func (m *monspec) limit(n *node, path string) *float64 {
	v, ok := m.number(n, path)
	if !ok {
		return nil
	}
	return &v
}

// complete fills in the defaults and brings static limits into our units.
func (m *monspec) complete(e *entry, path string) {
	switch {
	case e.Aggregate == "" && e.aggregate == nil && e.Measure.Relation():
		e.Aggregate = Count
	case e.Aggregate == "" && e.aggregate == nil:
		e.Aggregate = Avg
	case e.Measure.Relation() && e.Aggregate != Count && e.aggregate != nil:
		m.fail(e.aggregate.node.at, path+".aggregate", "relations are counted: expected count, found %s", e.aggregate.describe())
	}
	scale := e.scale
	if e.Aggregate == Count || e.Measure == FailureRate && e.Aggregate == Sum {
		scale = 1
	}
	e.Upper, e.Lower = divided(e.upper, scale), divided(e.lower, scale)
}

func divided(v *float64, by float64) *float64 {
	if v == nil || by == 0 { // by is 0 for an unknown metric, which is reported
		return nil
	}
	out := *v / by
	return &out
}

// nearest returns " (did you mean X?)" for the known name that is closest.
func nearest(word string, names []string) string {
	best, distance := "", len(word)/2+1
	for _, name := range names {
		short := strings.TrimPrefix(strings.ToLower(name), builtin)
		if d := edits(strings.TrimPrefix(strings.ToLower(word), builtin), short); d < distance {
			best, distance = name, d
		}
	}
	if best == "" {
		return ""
	}
	return " (did you mean \"" + best + "\"?)"
}

// edits is Levenshtein's distance, over bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
