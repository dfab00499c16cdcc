package cause

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/problem"
)

func TestRoleOf(t *testing.T) {
	for metric, want := range map[string]Role{
		"latency": RoleLatency, "availability": RoleSuccess, "requests": RoleTraffic,
		"http_5xx_ratio": RoleErrors, "http_server_duration_p99_ms": RoleLatency, "container_memory_rss_mb": RoleResource,
		"container_memory_limit_mb": RoleCapacity, "container_oom_killed_total": RoleErrors, "dynamodb_write_throttle_ratio": RoleErrors,
		"db_queries_per_second": RoleTraffic, "tls_cert_seconds_until_expiry": RoleCountdown, "cpuUsage": RoleResource,
		"queue_oldest_message_age_seconds": RoleResource, "db_pool_max_conns": RoleCapacity, "traces_span_metrics_calls": RoleTraffic,
		"temperature": RoleOther, "": RoleOther,
	} {
		if got := RoleOf(metric, ""); got != want {
			t.Errorf("%q is read as %s, not %s", metric, got, want)
		}
	}
	if got := RoleOf("process.runtime.x", "By"); got != RoleResource {
		t.Errorf("bytes are a resource, not %s", got)
	}
}

// line draws a series: each value for a minute, with a little noise.
func line(noise float64, values ...float64) []Point {
	rnd := rand.New(rand.NewPCG(5, 6))
	var out []Point
	for i, v := range values {
		out = append(out, Point{onset.Add(time.Duration(i) * time.Minute), v + noise*rnd.NormFloat64()})
	}
	return out
}

func repeat(n int, v float64) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = v
	}
	return out
}

func climb(n int, from, by float64) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = from + by*float64(i+1)
	}
	return out
}

func TestShifts(t *testing.T) {
	join := func(parts ...[]float64) (out []float64) {
		for _, p := range parts {
			out = append(out, p...)
		}
		return out
	}
	for name, c := range map[string]struct {
		points []Point
		at     []int // the minutes in which the shifts begin
	}{
		"noise":              {line(1, repeat(60, 100)...), nil},
		"constant":           {line(0, repeat(60, 7)...), nil},
		"a step":             {line(1, join(repeat(30, 100), repeat(30, 130))...), []int{30}},
		"a step down":        {line(0.01, join(repeat(40, 1), repeat(20, 0.5))...), []int{40}},
		"zero, then not":     {line(0, join(repeat(30, 0), repeat(5, 9))...), []int{30}},
		"a climb":            {line(1, join(repeat(30, 100), climb(60, 100, 2))...), []int{30}},
		"a climb and a drop": {line(1, join(repeat(30, 100), climb(60, 100, 3), repeat(20, 100))...), []int{30}}, // when it began counts
		"too few":            {line(0, 1, 1, 1, 9, 9, 9, 9), nil},
		"a little":           {line(0.01, join(repeat(30, 100), repeat(30, 102))...), nil},
		"long":               {line(1, join(repeat(900, 100), repeat(300, 150))...), []int{900}},
		"nothing":            {nil, nil},
	} {
		got := shifts(c.points, time.Minute)
		if len(got) != len(c.at) {
			t.Errorf("%s: %d shifts, want %d: %+v", name, len(got), len(c.at), got)
			continue
		}
		slack := 2 * time.Minute
		if len(c.points) > maxPoints {
			slack *= time.Duration(len(c.points)/maxPoints + 1)
		}
		for i, s := range got {
			want := onset.Add(time.Duration(c.at[i]) * time.Minute)
			if s.start.After(want.Add(slack)) || s.end.Before(want.Add(-slack)) || s.end.Sub(s.start) > 15*time.Minute {
				t.Errorf("%s: begins between %s and %s, want %s", name, clock(s.start), clock(s.end), clock(want))
			}
		}
	}
}

// TestFitIsLeastSquares holds the fit in constant time against a plain one.
func TestFitIsLeastSquares(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	y := make([]float64, 40)
	for i := range y {
		y[i] = 1000 + 50*rnd.NormFloat64()
	}
	s := newSums(y)
	for k := 2; k < len(y); k++ {
		for l := 1; l <= len(y)-k; l++ {
			rss, a, b := s.ramp(k, l)
			var plain float64
			for i, v := range y {
				h := math.Max(0, math.Min(1, float64(i-k+1)/float64(l)))
				plain += (v - a - b*h) * (v - a - b*h)
			}
			if math.Abs(plain-rss) > 1e-6*plain {
				t.Fatalf("k=%d l=%d: %v, plainly %v", k, l, rss, plain)
			}
			for _, d := range []float64{-0.5, 0.5} { // no other level or height fits better
				var worse float64
				for i, v := range y {
					h := math.Max(0, math.Min(1, float64(i-k+1)/float64(l)))
					worse += (v - a - (b+d)*h) * (v - a - (b+d)*h)
				}
				if worse < plain-1e-6 {
					t.Fatalf("k=%d l=%d: height %v fits worse than %v", k, l, b, b+d)
				}
			}
		}
	}
}

func TestSubstance(t *testing.T) {
	const up, flat, down = 1, 0, -1
	for name, c := range map[string]struct {
		files, diff string
		want        int
	}{
		"unknown":                       {"", "", flat},
		"documents":                     {"docs/a.md README.md", "+the timeout is 5s", down},
		"tests":                         {"pkg/a_test.go", "-\tif x { y() }", down},
		"tests and code":                {"pkg/a_test.go pkg/a.go", "-\tif x { y() }", up},
		"a style sheet":                 {"web/a.css", "-a{b:1}\n+a{b:100}", down},
		"a patch of a dependency":       {"go.mod go.sum", "-\tgithub.com/x/y v1.2.3\n+\tgithub.com/x/y v1.2.4", down},
		"a major version":               {"go.mod", "-\tgithub.com/x/y v1.2.3\n+\tgithub.com/x/y v2.0.0", flat},
		"comments":                      {"a.go", "-\t// one\n+\t// two", down},
		"a value, much":                 {"pool.go", "-const max = 50\n+const max = 10", up},
		"a value, little":               {"pool.go", "-const max = 50\n+const max = 60", down},
		"a unit":                        {"ttl.go", "-\tTTL: 15 * time.Minute,\n+\tTTL: 15 * time.Second,", up},
		"a value in YAML":               {"a.yaml", "-  ttl: 15m\n+  ttl: 15s", up},
		"a value as text":               {"a.ts", "-ttl: \"15m\"\n+ttl: \"2s\"", up},
		"switched off":                  {"a.yaml", "-  retries: 3\n+  retries: 0", up},
		"a condition taken out":         {"a.go", "-\tif r == nil {\n-\t\treturn \"\"\n-\t}\n-\treturn r.X\n+\treturn r.X", up},
		"a call taken out":              {"a.ts", "-  register(registry);", up},
		"a call moved into a helper":    {"a.go", "-\tout, err := s.get(ctx, key)\n-\tif err != nil { return nil, err }\n+\treturn s.fetch(ctx, key)\n+}\n+func (s *S) fetch(ctx, key) {\n+\tout, err := s.get(ctx, key)\n+\tif err != nil { return nil, err }\n+\treturn out, err", down},
		"another word":                  {"a.go", "-\treturn fmt.Errorf(\"not found\")\n+\treturn fmt.Errorf(\"not found: %w\", err)", down},
		"something new":                 {"a.go", "+func A() {\n+\tcallB()\n+}", flat},
		"an addition with a small edit": {"a.go", "-type T struct {\n+type T struct {\n+\ta int\n+}\n+\n+func B() {\n+\tlist = append(list, t)\n+}", flat},
	} {
		got, why := substance(change.Event{Properties: map[string]string{PropertyFiles: c.files, PropertyDiff: c.diff}})
		if int(math.Copysign(1, got)) != c.want && !(got == 0 && c.want == flat) {
			t.Errorf("%s: %v (%s), want the sign of %d", name, got, why, c.want)
		}
	}
}

func TestRelevance(t *testing.T) {
	symptom := bag{}
	symptom.add(`relation "dashboard_favorites" does not exist`, 1)
	named := changeWords(change.Event{Title: "wire up favorites", Properties: map[string]string{PropertyDiff: "+SELECT id FROM dashboard_favorites"}})
	other := changeWords(change.Event{Title: "tweak palette tokens", Properties: map[string]string{PropertyDiff: "+accent: blue surface: white"}})
	all := []bag{named, other}
	a, shared := relevance(named, symptom, all)
	b, _ := relevance(other, symptom, all)
	if a < 1 || len(shared) == 0 || b >= 0 {
		t.Errorf("named %v %v, other %v", a, shared, b)
	}
	if v, _ := relevance(bag{}, symptom, all); v != 0 {
		t.Errorf("a change without words says %v", v)
	}
}

func TestTiming(t *testing.T) {
	ms := []moment{{start: onset, end: onset, weight: 1}}
	was := math.Inf(1)
	for _, before := range []time.Duration{5 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute, 5 * time.Hour} {
		v, _, ok := deployPace.timing(onset.Add(-before), ms)
		if !ok || v >= was {
			t.Errorf("%s before: %v, should be less than %v", before, v, was)
		}
		was = v
	}
	if _, _, ok := deployPace.timing(onset.Add(time.Minute), ms); ok {
		t.Error("a change after all that began is not before it")
	}
	// Two hours before, a shift that is real makes the later change an unlikely cause.
	early := []moment{{start: onset.Add(-2 * time.Hour), end: onset.Add(-2 * time.Hour), weight: 0.9}, {start: onset, end: onset, weight: 0.1}}
	first, _, _ := deployPace.timing(onset.Add(-2*time.Hour-time.Minute), early)
	second, _, _ := deployPace.timing(onset.Add(-time.Minute), early)
	if first < second+1 {
		t.Errorf("the change before the first moment says %v, the one before the second %v", first, second)
	}
}

// TestAlleged: a complaint that no series bears out has no cause.
func TestAlleged(t *testing.T) {
	calm := newLittle()
	calm.Symptoms = []problem.Event{{ID: "x", Signal: problem.SignalLatency, Ref: prod("frontend"), Start: onset}}
	if got := Find(calm.Input); len(got.Ranking) != 0 || got.Kind != problem.CauseUnknown {
		t.Errorf("%s: %v", got.Sentence, got.Ranking)
	}
	slow := newLittle().slow(0.5, "frontend", "catalog")
	slow.Symptoms = calm.Symptoms
	if got := Find(slow.Input); len(got.Ranking) == 0 || got.Ranking[0].Service != "catalog" {
		t.Errorf("%s: %v", got.Sentence, got.Ranking)
	}
}

// TestNumbersOfFailures: failures by number say what they say as shares.
func TestNumbersOfFailures(t *testing.T) {
	for name, c := range worlds() {
		in := c.l.Input
		in.Series = slices.Clone(in.Series)
		requests := map[entity.Ref]map[time.Time]float64{}
		for _, s := range in.Series {
			if s.Metric == "requests" {
				requests[s.Ref] = map[time.Time]float64{}
				for _, p := range s.Points {
					requests[s.Ref][p.Time] = p.Value
				}
			}
		}
		for i, s := range in.Series {
			if s.Metric != "errors_ratio" {
				continue
			}
			in.Series[i].Metric, in.Series[i].Statistic, in.Series[i].Points = "failures", "count", slices.Clone(s.Points)
			for j, p := range s.Points {
				in.Series[i].Points[j].Value = math.Round(p.Value * requests[s.Ref][p.Time])
			}
		}
		if got := Find(in); answer(got) != c.want {
			t.Errorf("%s: %+v, want %+v: %s", name, answer(got), c.want, got.Sentence)
		}
	}
}

func TestAffected(t *testing.T) {
	l := newLittle().failing(0.3, "frontend", "checkout", "payment").symptom("frontend", problem.SignalErrors)
	l.from(onset, "shipping", "requests", times(0.2)) // less asked of it: not hurt
	var got []string
	for _, r := range Affected(l.Input) {
		got = append(got, r.Service)
	}
	if want := []string{"checkout", "frontend", "payment"}; len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("%v, want %v", got, want)
	}
}

func BenchmarkFind(b *testing.B) {
	in := worlds()["a bad deployment"].l.Input
	for range 200 {
		in.Series = append(in.Series, in.Series[0])
	}
	b.ReportAllocs()
	for b.Loop() {
		Find(in)
	}
}
