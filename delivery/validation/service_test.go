package validation

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/delivery/signature"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/judge"
)

// memory is a Store that several services share.
type memory struct {
	mu     sync.Mutex
	list   []Validation
	leases map[string]Lease
}

func newMemory() *memory { return &memory{leases: map[string]Lease{}} }

func (m *memory) index(id string) int {
	return slices.IndexFunc(m.list, func(v Validation) bool { return v.ID == id })
}

func (m *memory) Create(_ context.Context, v Validation) (Validation, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := m.index(v.ID); i >= 0 {
		return m.list[i], false, nil
	}
	m.list = append(m.list, v)
	return v, true, nil
}

func (m *memory) Claim(_ context.Context, l Lease, now time.Time) (Validation, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, v := range m.list {
		if !v.Status.Final() && !v.Due.After(now) && !m.leases[v.ID].Until.After(now) {
			m.leases[v.ID] = l
			return v, true, nil
		}
	}
	return Validation{}, false, nil
}

func (m *memory) Save(_ context.Context, v Validation, l Lease) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.index(v.ID)
	if i < 0 || m.leases[v.ID].Owner != l.Owner || m.list[i].Status.Final() {
		return fault.Conflict("not held")
	}
	m.list[i], m.leases[v.ID] = v, l
	return nil
}

func (m *memory) Release(_ context.Context, owner string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, l := range m.leases {
		if l.Owner == owner {
			m.leases[id] = Lease{Owner: owner}
		}
	}
	return nil
}

func (m *memory) Validation(_ context.Context, id string) (Validation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := m.index(id); i >= 0 {
		return m.list[i], nil
	}
	return Validation{}, fault.NotFound("no validation %q", id)
}

func (m *memory) Validations(_ context.Context, q Query) ([]Validation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Validation
	for _, v := range slices.Backward(m.list) {
		if (q.Pipeline == "" || v.Pipeline == q.Pipeline) && (q.Comparison == "" || v.Comparison == q.Comparison) {
			v.Signatures = nil
			out = append(out, v)
		}
	}
	return out, nil
}

// world is a shop in two environments, with 100 requests a second.
type world struct {
	mu       sync.Mutex
	entities []entity.Entity
	bad      map[string]float64 // share of failures by environment
	silent   map[string]bool    // environments without telemetry
	fail     error
	readings []guardian.Reading
	events   []change.Event
	hang     bool
	broken   bool
}

func newWorld() *world {
	w := &world{bad: map[string]float64{}, silent: map[string]bool{}}
	for _, env := range []string{"staging", "production"} {
		w.entities = append(w.entities, entity.Entity{ID: "SERVICE-cart", Type: entity.TypeService,
			Ref: entity.Ref{Service: "cart", Environment: env, Version: "1"}, Tags: map[string]string{"DeploymentGroup": env}})
	}
	return w
}

func (w *world) Entities(context.Context) ([]entity.Entity, error) { return w.entities, nil }

func (w *world) Signatures() []signature.Signature {
	return []signature.Signature{{
		Name: "cart", Type: entity.TypeService, Mode: signature.ModePoint,
		Environments: []signature.Environment{{Name: "Staging", Selector: "DeploymentGroup=staging"}, {Name: "Production", Selector: "DeploymentGroup=production"}, {Name: "Mars", Selector: "DeploymentGroup=mars"}},
		Comparisons: []signature.Comparison{
			{Name: "StagingToProduction", Source: "Staging", Compare: "Production", Tolerance: 0.1},
			{Name: "StagingToYesterday", Source: "Staging", Compare: "Staging", ShiftSource: time.Minute, ShiftCompare: time.Hour},
			{Name: "StagingToMars", Source: "Staging", Compare: "Mars"},
			{Name: "MarsToProduction", Source: "Mars", Compare: "Production"},
		},
		Metrics: []signature.Metric{
			{Key: "failureRate", Measure: signature.FailureRate, Aggregate: signature.Avg, Validate: signature.BoundUpper},
			{Key: "requests", Measure: signature.Requests, Aggregate: signature.Count, Validate: signature.BoundLower},
			{Key: "calls", Measure: signature.Calls, Aggregate: signature.Count, Validate: signature.BoundUpper},
		},
	}}
}

func (w *world) Sample(ctx context.Context, r guardian.Reading) (judge.Sample, []string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken {
		panic("a broken reader")
	}
	if w.hang {
		w.mu.Unlock()
		<-ctx.Done()
		w.mu.Lock()
		return judge.Sample{}, nil, ctx.Err()
	}
	w.readings = append(w.readings, r)
	if w.fail != nil {
		return judge.Sample{}, nil, w.fail
	}
	s := judge.Sample{Kind: judge.Rate}
	if r.Indicator.ErrorRate != nil {
		s.Kind = judge.Ratio
	}
	if w.silent[r.Target.Environment] {
		return s, []string{"q"}, nil
	}
	for range 30 {
		s.Slices = append(s.Slices, judge.Slice{Seconds: 2, Total: 200, Bad: 200 * w.bad[r.Target.Environment]})
	}
	return s, []string{"q"}, nil
}

func (w *world) Relation(_ context.Context, _ signature.Measure, _ entity.Ref, _ Window) (judge.Sample, []string, error) {
	return judge.Sample{Kind: judge.Value, Slices: []judge.Slice{{Value: 2}}}, []string{"graph"}, nil
}

func (w *world) Record(_ context.Context, e change.Event) (change.Event, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
	return e, nil
}

func service(t *testing.T, w *world, store Store, owner string) *Service {
	t.Helper()
	s, err := New(Config{Store: store, Signatures: w, Entities: w, Sampler: w, Relations: w, Recorder: w, Owner: owner})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func running(t *testing.T, services ...*Service) {
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for _, s := range services {
		all.Go(func() {
			if err := s.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() { cancel(); all.Wait() })
}

func register(t *testing.T, s *Service, r Request) Validation {
	t.Helper()
	if r.In == 0 && r.Last == 0 {
		r.In = time.Minute
	}
	v, err := s.Register(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func wait(t *testing.T, s *Service, id string) Validation {
	t.Helper()
	v, err := s.Wait(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestValidationIsJudgedAtItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s := service(t, w, newMemory(), "")
		running(t, s)
		start := time.Now()
		v := register(t, s, Request{Comparison: "StagingToProduction", Pipeline: "shop", Build: "1", In: 5 * time.Minute, Who: "ann"})
		if v.Status != StatusWaiting || !v.Due.Equal(start.Add(5*time.Minute+5*time.Second)) || !strings.Contains(v.Summary, "Waits until") {
			t.Fatalf("registered as %+v", v)
		}
		time.Sleep(5 * time.Minute)
		if now, err := s.Validation(t.Context(), v.ID); err != nil || now.Status != StatusWaiting {
			t.Fatalf("before its telemetry settled: %s, %v", now.Status, err)
		}
		v = wait(t, s, v.ID)
		if v.Status != StatusOK || len(v.Results) != 3 || v.Summary != "All 3 metrics are within StagingToProduction." || v.Attempts != 1 {
			t.Errorf("%s, %d results: %s", v.Status, len(v.Results), v.Summary)
		}
		if late := v.Finished.Sub(v.Due); late > 2*time.Second {
			t.Errorf("judged %s after it was due", late)
		}
		for _, r := range v.Results {
			if len(r.SourceRead.Queries) == 0 || !r.SourceRead.From.Equal(start) || !r.SourceRead.To.Equal(start.Add(5*time.Minute)) {
				t.Errorf("%s: read by %q over %s to %s", r.Name, r.SourceRead.Queries, r.SourceRead.From, r.SourceRead.To)
			}
		}
		if len(w.events) != 1 || w.events[0].To != "ok" || w.events[0].Type != change.TypeValidationFinished {
			t.Errorf("events %+v", w.events)
		}
		if side := v.Sides[0]; len(side.SourceEntities) != 1 || side.SourceEntities[0] != (entity.Ref{Service: "cart", Environment: "staging"}) {
			t.Errorf("compared %+v", side)
		}
	})
}

func TestViolation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.bad["staging"] = 0.5
		s := service(t, w, newMemory(), "")
		running(t, s)
		v := wait(t, s, register(t, s, Request{Comparison: "StagingToProduction"}).ID)
		if v.Status != StatusViolation || v.Violations != 1 || !strings.HasPrefix(v.Summary, "1 of 3 metrics violate StagingToProduction: failure rate avg was 50 %, above the allowed 0 %") {
			t.Errorf("%s: %s", v.Status, v.Summary)
		}
	})
}

// What is missing or wrong has a state and a message of its own.
func TestClearStates(t *testing.T) {
	for _, tt := range []struct {
		name       string
		comparison string
		change     func(*world, *Request)
		want       Status
		summary    string
	}{
		{"an environment without entities", "MarsToProduction", nil, StatusInconclusive,
			`Nothing to judge: no entity is in environment "Mars" of signature "cart" (DeploymentGroup=mars).`},
		{"nothing to compare with", "StagingToMars", nil, StatusOK, "All 3 metrics are within StagingToMars, 3 with a warning."},
		{"nothing to compare with, by confidence", "StagingToMars", func(_ *world, r *Request) { r.Mode = signature.ModeConfidence }, StatusInconclusive, "there is no baseline to compare with"},
		{"a service that is not there", "StagingToProduction", func(_ *world, r *Request) { r.Service = "web" }, StatusInconclusive, "service web"},
		{"metrics without data", "StagingToProduction", func(w *world, _ *Request) { w.silent["staging"] = true }, StatusInconclusive, "There are no data of failure rate avg in the source"},
		{"a reader that refuses", "StagingToProduction", func(w *world, _ *Request) { w.fail = fault.Invalid("bad query") }, StatusError, ": bad query."},
		{"a reader that is away", "StagingToProduction", func(w *world, _ *Request) { w.fail = fault.Unavailable("away") }, StatusError, "away"},
		{"a reader that hangs", "StagingToProduction", func(w *world, _ *Request) { w.hang = true }, StatusError, "could not be read within 1m30s"},
		{"a reader that panics", "StagingToProduction", func(w *world, _ *Request) { w.broken = true }, StatusError, "panic: a broken reader"},
		{"telemetry that cannot be told apart", "StagingToProduction", func(w *world, _ *Request) {
			for i := range w.entities {
				w.entities[i].Environment = ""
			}
		}, StatusError, "its telemetry would be compared with itself; let it carry deployment.environment.name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				r := Request{Comparison: tt.comparison}
				if tt.change != nil {
					tt.change(w, &r)
				}
				s := service(t, w, newMemory(), "")
				running(t, s)
				v := wait(t, s, register(t, s, r).ID)
				if v.Status != tt.want || !strings.Contains(v.Summary, tt.summary) {
					t.Errorf("%s: %s\nwant %s: %s", v.Status, v.Summary, tt.want, tt.summary)
				}
			})
		})
	}
}

func TestReaderThatComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.fail = fault.Unavailable("restarting")
		s := service(t, w, newMemory(), "")
		running(t, s)
		v := register(t, s, Request{Comparison: "StagingToProduction"})
		time.Sleep(time.Minute + 8*time.Second)
		if now, _ := s.Validation(t.Context(), v.ID); now.Status != StatusWaiting || !strings.Contains(now.Summary, "to be tried again: ") {
			t.Errorf("meanwhile %s: %s", now.Status, now.Summary)
		}
		w.mu.Lock()
		w.fail = nil
		w.mu.Unlock()
		if v = wait(t, s, v.ID); v.Status != StatusOK || v.Attempts < 2 {
			t.Errorf("%s after %d attempts", v.Status, v.Attempts)
		}
	})
}

func TestPanicIsOneValidationsOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s := service(t, w, newMemory(), "")
		s.cfg.Entities = panicking{}
		running(t, s)
		if v := wait(t, s, register(t, s, Request{Comparison: "StagingToProduction"}).ID); v.Status != StatusError || !strings.Contains(v.Summary, "panic: broken") {
			t.Errorf("%s: %s", v.Status, v.Summary)
		}
	})
}

type panicking struct{}

func (panicking) Entities(context.Context) ([]entity.Entity, error) { panic("broken") }

// Several processes that share a store judge each validation once.
func TestOneOfSeveralJudges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, store := newWorld(), newMemory()
		a, b, c := service(t, w, store, "a"), service(t, w, store, "b"), service(t, w, store, "c")
		var ids []string
		for i := range 20 {
			ids = append(ids, register(t, a, Request{Comparison: "StagingToProduction", Build: fmt.Sprint(i)}).ID)
		}
		running(t, a, b, c)
		for _, id := range ids {
			if v := wait(t, b, id); v.Status != StatusOK || v.Attempts != 1 {
				t.Errorf("%s: %s after %d attempts", id, v.Status, v.Attempts)
			}
		}
		if len(w.events) != 20 || len(w.readings) != 20*4 {
			t.Errorf("%d events and %d readings of 20 validations with 4 each", len(w.events), len(w.readings))
		}
	})
}

// A process that ends while it judges leaves the validation to the next one: at
// once where it has the same name, when the lease has run out elsewhere.
func TestCrashWhileJudging(t *testing.T) {
	for name, takes := range map[string]struct {
		owner string
		least time.Duration
	}{"the same process again": {"a", 0}, "another one": {"b", time.Minute}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, store := newWorld(), newMemory()
				w.hang = true
				first := service(t, w, store, "a")
				v := register(t, first, Request{Comparison: "StagingToProduction"})
				ctx, crash := context.WithCancel(t.Context())
				ended := make(chan struct{})
				go func() { defer close(ended); first.Run(ctx) }()
				time.Sleep(time.Minute + 10*time.Second)
				if now, _ := store.Validation(t.Context(), v.ID); now.Status != StatusRunning {
					t.Fatalf("before the crash: %s", now.Status)
				}
				crash()
				<-ended
				if now, _ := store.Validation(t.Context(), v.ID); now.Status != StatusRunning {
					t.Fatalf("after the crash: %s: half-done is not done", now.Status)
				}
				w.mu.Lock()
				w.hang = false
				w.mu.Unlock()
				second, restart := service(t, w, store, takes.owner), time.Now()
				running(t, second)
				v = wait(t, second, v.ID)
				if took := time.Since(restart); v.Status != StatusOK || v.Attempts != 2 || took < takes.least || took > takes.least+2*time.Minute {
					t.Errorf("%s after %d attempts and %s", v.Status, v.Attempts, took)
				}
			})
		})
	}
}

func TestRegisterRefuses(t *testing.T) {
	s := service(t, newWorld(), newMemory(), "")
	for _, tt := range []struct {
		r    Request
		kind fault.Kind
		want string
	}{
		{Request{Comparison: "StagingToProd", In: time.Minute}, fault.KindNotFound, `no comparison "StagingToProd" in any performance signature: there is MarsToProduction, StagingToMars, StagingToProduction, StagingToYesterday`},
		{Request{Comparison: "StagingToProduction", Signature: "web", In: time.Minute}, fault.KindNotFound, `no performance signature "web"`},
		{Request{In: time.Minute}, fault.KindInvalid, "comparison: is required"},
		{Request{Comparison: "StagingToProduction"}, fault.KindInvalid, "either in"},
		{Request{Comparison: "StagingToProduction", In: time.Minute, Last: time.Minute}, fault.KindInvalid, "either in"},
		{Request{Comparison: "StagingToProduction", In: 25 * time.Hour}, fault.KindInvalid, "between 1 s and 24 h"},
		{Request{Comparison: "StagingToProduction", In: -time.Hour}, fault.KindInvalid, "between 1 s and 24 h"},
		{Request{Comparison: "StagingToProduction", In: time.Minute, Mode: "guess"}, fault.KindInvalid, "expected point or confidence"},
		{Request{Comparison: "StagingToProduction", In: time.Minute, Build: strings.Repeat("x", 301)}, fault.KindInvalid, "build: 301 characters"},
		{Request{Comparison: "c", In: time.Minute, Monspec: []byte(`{"a": {"etyp": "SERVICE"}}`)}, fault.KindInvalid, `monspec:1:8: a: unknown key "etyp" (did you mean "etype"?)`},
	} {
		if _, err := s.Register(t.Context(), tt.r); !fault.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v; want %v: %s", tt.r, err, tt.kind, tt.want)
		}
	}
}

func TestRegisterOnce(t *testing.T) {
	store := newMemory()
	s := service(t, newWorld(), store, "")
	r := Request{Key: "release-7/staging", Comparison: "StagingToProduction", Build: "7"}
	first, again := register(t, s, r), register(t, s, r)
	if first.ID != again.ID || len(store.list) != 1 {
		t.Errorf("%s, then %s: %d stored", first.ID, again.ID, len(store.list))
	}
	r.Build, r.In = "8", time.Minute
	if _, err := s.Register(t.Context(), r); !fault.Is(err, fault.KindConflict) {
		t.Errorf("the key of another build: %v", err)
	}
	if other := register(t, s, Request{Comparison: "StagingToProduction"}); other.ID == first.ID {
		t.Error("without a key two requests are one")
	}
}

// The definition is that of the time of registration, and a monspec comes with
// the request.
func TestMonspecOfTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s := service(t, w, newMemory(), "")
		running(t, s)
		monspec := `{"Cart": {"etype": "SERVICE", "environments": {
			"Staging": {"tags": [{"context": "CONTEXTLESS", "key": "DeploymentGroup", "value": "staging"}]}},
			"comparisons": [{"name": "LastHour", "source": "Staging", "compare": "Staging", "shiftsourcetimeframe": 60, "shiftcomparetimeframe": 3600}],
			"perfsignature": [{"timeseries": "service.failurerate", "aggregate": "avg"}]}}`
		start := time.Now()
		v := wait(t, s, register(t, s, Request{Comparison: "LastHour", Monspec: []byte(monspec), Last: 2 * time.Minute}).ID)
		if v.Status != StatusOK || len(v.Results) != 1 || v.Results[0].Signature != "Cart" {
			t.Fatalf("%s: %s", v.Status, v.Summary)
		}
		side := v.Sides[0]
		if !side.SourceWindow.To.Equal(start.Add(-time.Minute)) || !side.CompareWindow.To.Equal(start.Add(-time.Hour)) || side.CompareWindow.Length() != 2*time.Minute {
			t.Errorf("windows %+v", side)
		}
	})
}

// Only the version that is judged is read, on the side of the source.
func TestVersionOfTheSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s := service(t, w, newMemory(), "")
		running(t, s)
		wait(t, s, register(t, s, Request{Comparison: "StagingToProduction", Version: "2"}).ID)
		for _, r := range w.readings {
			if want := map[string]string{"staging": "2", "production": ""}[r.Target.Environment]; r.Target.Version != want {
				t.Errorf("read %s, want version %q", r.Target, want)
			}
		}
	})
}

func TestReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s := service(t, w, newMemory(), "")
		running(t, s)
		for i, bad := range []float64{0, 0.5, 0} {
			w.mu.Lock()
			w.bad["staging"] = bad
			w.mu.Unlock()
			wait(t, s, register(t, s, Request{Comparison: "StagingToProduction", Pipeline: "shop", Build: fmt.Sprint(i + 1)}).ID)
		}
		register(t, s, Request{Comparison: "StagingToProduction", Pipeline: "shop", Build: "4"})
		r, err := s.Report(t.Context(), ReportQuery{Pipeline: "shop", Comparison: "StagingToProduction"})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, b := range r.Builds {
			got = append(got, b.Build+" "+string(b.Status))
		}
		if want := []string{"1 ok", "2 violation", "3 ok", "4 waiting"}; !slices.Equal(got, want) {
			t.Errorf("builds %v, want %v", got, want)
		}
		if len(r.Metrics) != 3 {
			t.Fatalf("%d metrics, want 3", len(r.Metrics))
		}
		cells := r.Metrics[0].Cells
		if cells[1].Status != signature.StatusViolation || cells[1].Source != 0.5 || cells[2].Status != signature.StatusOK || cells[3] != nil {
			t.Errorf("failure rate over the builds: %+v %+v", cells[1], cells[2])
		}
		if _, err := s.Report(t.Context(), ReportQuery{Pipeline: "none", Comparison: "StagingToProduction"}); !fault.Is(err, fault.KindNotFound) {
			t.Errorf("a pipeline of which nothing was judged: %v", err)
		}
		if _, err := s.Report(t.Context(), ReportQuery{Pipeline: "shop"}); !fault.Is(err, fault.KindInvalid) {
			t.Errorf("no comparison: %v", err)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	w := newWorld()
	full := Config{Store: newMemory(), Signatures: w, Entities: w, Sampler: w}
	for name, spoil := range map[string]func(*Config){
		"Store": func(c *Config) { c.Store = nil }, "Signatures": func(c *Config) { c.Signatures = nil },
		"Entities": func(c *Config) { c.Entities = nil }, "Sampler": func(c *Config) { c.Sampler = nil }, "negative": func(c *Config) { c.Lease = -1 },
	} {
		c := full
		spoil(&c)
		if _, err := New(c); !fault.Is(err, fault.KindInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
