package guardian_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/judge"
	"github.com/tidegate-io/tidegate/telemetry"
)

var checkout = guardian.Guardian{
	Name:       "checkout",
	Target:     entity.Ref{Service: "checkout", Environment: "dev"},
	Objectives: guardian.GoldenSignals(entity.Ref{Service: "checkout"}),
}

// world is everything around a service under test, inside a synctest bubble.
type world struct {
	t       *testing.T
	store   *memory
	shop    *service
	events  *events
	traces  traces
	defs    definitions
	config  func(*guardian.Config)
	svc     *guardian.Service
	stop    context.CancelFunc
	stopped chan error
}

func newWorld(t *testing.T) *world {
	return &world{t: t, store: newMemory(), shop: &service{perSecond: 20}, events: &events{}, defs: definitions{checkout}}
}

// boot starts the service; called again it is a restart.
func (w *world) boot() {
	w.t.Helper()
	c := guardian.Config{
		Definitions: w.defs, Store: w.store, Sampler: w.shop,
		Traces: w.traces, Changes: w.events, Recorder: w.events,
	}
	if w.config != nil {
		w.config(&c)
	}
	svc, err := guardian.New(c)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.svc, w.stop, w.stopped = svc, cancel, make(chan error, 1)
	go func() { w.stopped <- svc.Run(ctx) }()
}

func (w *world) shutdown() {
	w.t.Helper()
	w.stop()
	if err := <-w.stopped; err != nil {
		w.t.Fatalf("Run: %v", err)
	}
}

func (w *world) start(r guardian.Request) guardian.Validation {
	w.t.Helper()
	if r.Guardian == "" {
		r.Guardian = "checkout"
	}
	v, err := w.svc.Start(context.Background(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

func (w *world) validate(r guardian.Request) guardian.Validation {
	w.t.Helper()
	v, err := w.svc.Wait(context.Background(), w.start(r).ID)
	if err != nil {
		w.t.Fatal(err)
	}
	if v.State != guardian.StateFinished {
		w.t.Fatalf("Wait returned a validation that is %s", v.State)
	}
	return v
}

func (w *world) train() {
	w.t.Helper()
	for i := range 5 {
		v := w.validate(guardian.Request{Next: time.Minute})
		want := fmt.Sprintf("Learning: run %d of the 5 that teach what is normal for checkout", i+1)
		if v.Status != judge.StatusLearning || v.Headline != want {
			w.t.Fatalf("run %d: %s: %q, want %q", i+1, v.Status, v.Headline, want)
		}
	}
}

// failedTrace is a checkout whose call of payment failed there.
func failedTrace(n int, at time.Time) *telemetry.Trace {
	id := telemetry.TraceID{15: byte(n), 14: byte(n >> 8), 13: 1}
	span := func(i byte, parent byte, service, name string, kind telemetry.Kind) telemetry.Span {
		return telemetry.Span{
			TraceID: id, ID: telemetry.SpanID{7: i}, ParentID: telemetry.SpanID{7: parent},
			Ref: entity.Ref{Service: service, Environment: "dev"}, Name: name, Kind: kind,
			Start: at.Add(time.Duration(i) * time.Millisecond), Duration: 20*time.Millisecond - 2*time.Duration(i)*time.Millisecond,
			Status: telemetry.StatusError,
		}
	}
	origin := span(3, 2, "payment", "PaymentService/Charge", telemetry.KindServer)
	origin.Events = []telemetry.Event{{Name: "exception", Attributes: telemetry.Attributes{
		"exception.type": "payment.Refused", "exception.message": fmt.Sprintf("charge %d refused", n),
		"exception.stacktrace": "goroutine 1 [running]:\nmain.(*server).Charge(0xc000)\n\t/app/payment/main.go:42 +0x1d\n",
	}}}
	return &telemetry.Trace{ID: id, Spans: []telemetry.Span{
		span(1, 0, "checkout", "PlaceOrder", telemetry.KindServer),
		span(2, 1, "checkout", "PaymentService/Charge", telemetry.KindClient),
		origin,
	}}
}

func TestTheStoryOfARelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		flipped := time.Now().Add(10 * time.Minute)
		first := flipped.Add(41 * time.Second)
		for i := range 100 {
			w.traces = append(w.traces, failedTrace(i, first.Add(time.Duration(i)*time.Second)))
		}
		w.boot()
		defer w.shutdown()
		w.train()
		if v := w.validate(guardian.Request{Next: time.Minute}); v.Status != judge.StatusPass || v.Headline != "Go: all 3 objectives of checkout hold" {
			t.Fatalf("healthy run: %s: %s", v.Status, v.Headline)
		}

		time.Sleep(time.Until(flipped))
		w.events.Record(t.Context(), change.Event{
			ID: "flip", Type: change.TypeFlagChanged, Kind: change.KindFlag, Key: "paymentServiceFailure", From: "off", To: "on",
			Who: "kim", Title: "paymentServiceFailure on", Start: flipped, Ref: entity.Ref{Service: "payment"},
		})
		time.Sleep(time.Until(first))
		w.shop.failing, w.shop.since = 0.5, first
		v := w.validate(guardian.Request{Next: time.Minute, Tags: map[string]string{"purpose": "acceptance"}, Who: "ci"})

		if v.Status != judge.StatusFail {
			t.Fatalf("broken run: %s: %s", v.Status, v.Headline)
		}
		want := "No-go: 50 % of checkout requests fail since paymentServiceFailure went on, 41 s before the first failure"
		if v.Headline != want {
			t.Errorf("headline\n got %q\nwant %q", v.Headline, want)
		}
		g := v.Evidence.Failures[0]
		if g.Service != "payment" || g.Operation != "PaymentService/Charge" || g.Share != 1 || g.SeenBefore {
			t.Errorf("group %+v", g)
		}
		if len(v.Sources) != 3 || len(v.Sources[1].Series) == 0 || len(v.Sources[1].Queries) == 0 {
			t.Errorf("sources %+v", v.Sources)
		}
		got := w.events.types()
		if got[change.TypeValidationStarted] != 7 || got[change.TypeValidationFinished] != 7 || got[change.TypeValidationObjective] != 21 {
			t.Errorf("events %v", got)
		}
		last := w.events.list[len(w.events.list)-1]
		if last.Type != change.TypeValidationFinished || last.Properties["status"] != "fail" || last.Properties["cause"] != "flip" || last.Properties["purpose"] != "acceptance" {
			t.Errorf("last event %+v", last)
		}
		if v.Trains() {
			t.Error("a failed run trains")
		}
	})
}

func TestWhatCannotBeReadNeverPasses(t *testing.T) {
	threshold := guardian.Guardian{Name: "t", Target: checkout.Target, Objectives: []guardian.Objective{{
		Objective: judge.Objective{Name: "errors", Threshold: &judge.Threshold{Fail: &judge.Limit{Op: ">", Value: 0.01}}},
		Indicator: guardian.Indicator{ErrorRate: &guardian.SpanIndicator{}},
	}, {
		Objective: judge.Objective{Name: "heat", Threshold: &judge.Threshold{Fail: &judge.Limit{Op: ">", Value: 80}}},
		Indicator: guardian.Indicator{PromQL: "heat"},
	}}}
	for name, tc := range map[string]struct {
		damage func(*service)
		want   judge.Status
	}{
		"no data":         {func(s *service) { s.silent = true }, judge.StatusInconclusive},
		"query fails":     {func(s *service) { s.queryErr = "parse error" }, judge.StatusError},
		"sampler fails":   {func(s *service) { s.err = func() error { return errors.New("disk on fire") } }, judge.StatusError},
		"sampler is away": {func(s *service) { s.err = func() error { return fault.Unavailable("starting") } }, judge.StatusError},
		"sampler panics":  {func(s *service) { s.err = func() error { panic("nil map") } }, judge.StatusError},
		"part has data":   {func(*service) {}, judge.StatusInconclusive}, // heat is NaN throughout
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.defs = definitions{threshold}
				tc.damage(w.shop)
				w.boot()
				defer w.shutdown()
				v := w.validate(guardian.Request{Guardian: "t", Last: time.Minute})
				if v.Status != tc.want || v.Headline == "" {
					t.Errorf("got %s: %q, want %s", v.Status, v.Headline, tc.want)
				}
				if v.Trains() {
					t.Error("trains")
				}
			})
		})
	}
}

// A reader that hangs holds up neither the verdict nor the others for ever.
func TestReadersThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.shop.slow = time.Hour
		w.boot()
		defer w.shutdown()
		if v := w.validate(guardian.Request{Last: time.Minute}); v.Status != judge.StatusError || v.Finished.Sub(v.Started) > 6*time.Minute {
			t.Errorf("sampler: %s after %s", v.Status, v.Finished.Sub(v.Started))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.config = func(c *guardian.Config) { c.Traces = hanging{} }
		w.boot()
		defer w.shutdown()
		w.train()
		w.shop.failing, w.shop.since = 0.5, time.Now()
		v := w.validate(guardian.Request{Next: time.Minute})
		if v.Status != judge.StatusFail || v.Evidence == nil || len(v.Evidence.Gaps) == 0 {
			t.Errorf("traces: %s, evidence %+v", v.Status, v.Evidence)
		}
	})
}

// hanging answers when nobody waits any more.
type hanging struct{ traces }

func (hanging) Traces(ctx context.Context, _ telemetry.TraceQuery) iter.Seq2[*telemetry.Trace, error] {
	return func(yield func(*telemetry.Trace, error) bool) {
		<-ctx.Done()
		yield(nil, ctx.Err())
	}
}

func TestUnavailableReaderIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n := 0
		w.shop.err = func() error {
			if n++; n < 3 {
				return fault.Unavailable("starting")
			}
			return nil
		}
		w.boot()
		defer w.shutdown()
		if v := w.validate(guardian.Request{Last: time.Minute}); v.Status != judge.StatusLearning {
			t.Errorf("got %s: %s", v.Status, v.Headline)
		}
	})
}

func TestStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.boot()
		defer w.shutdown()
		now := time.Now()

		a := w.start(guardian.Request{ID: "run-1", Next: time.Minute})
		b := w.start(guardian.Request{ID: "run-1", Next: time.Hour})
		if a.Number != b.Number || !a.Window.To.Equal(b.Window.To) {
			t.Errorf("the same id gave two validations: %+v, %+v", a, b)
		}
		if !a.Window.From.Equal(now) || a.Window.Length() != time.Minute || a.State != guardian.StatePending || a.Trigger != "manual" {
			t.Errorf("%+v", a)
		}

		for name, tc := range map[string]struct {
			r    guardian.Request
			want fault.Kind
		}{
			"unknown guardian": {guardian.Request{Guardian: "nobody", Last: time.Minute}, fault.KindNotFound},
			"no window":        {guardian.Request{Guardian: "checkout"}, fault.KindInvalid},
			"two windows":      {guardian.Request{Guardian: "checkout", Last: time.Minute, Next: time.Minute}, fault.KindInvalid},
			"negative":         {guardian.Request{Guardian: "checkout", Last: -time.Minute}, fault.KindInvalid},
			"half a window":    {guardian.Request{Guardian: "checkout", Window: guardian.Window{To: now}}, fault.KindInvalid},
			"endless":          {guardian.Request{Guardian: "checkout", Last: 1000 * time.Hour}, fault.KindInvalid},
			"far ahead":        {guardian.Request{Guardian: "checkout", Next: 48 * time.Hour}, fault.KindInvalid},
			"odd id":           {guardian.Request{Guardian: "checkout", ID: "../etc", Last: time.Minute}, fault.KindInvalid},
			"not text":         {guardian.Request{Guardian: "checkout", Last: time.Minute, Who: "a\x00b"}, fault.KindInvalid},
			"nameless tag":     {guardian.Request{Guardian: "checkout", Last: time.Minute, Tags: map[string]string{"": "x"}}, fault.KindInvalid},
		} {
			if _, err := w.svc.Start(t.Context(), tc.r); !fault.Is(err, tc.want) {
				t.Errorf("%s: %v, want %s", name, err, tc.want)
			}
		}
	})
}

func TestTooManyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.config = func(c *guardian.Config) { c.MaxWaiting = 2 }
		w.boot()
		defer w.shutdown()
		w.start(guardian.Request{Next: time.Hour})
		w.start(guardian.Request{Next: time.Hour})
		if _, err := w.svc.Start(t.Context(), guardian.Request{Guardian: "checkout", Next: time.Hour}); !fault.Is(err, fault.KindUnavailable) {
			t.Errorf("third: %v", err)
		}
	})
}

func TestWaitsForTheWindowAndItsTelemetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.boot()
		defer w.shutdown()
		begin := time.Now()
		v := w.validate(guardian.Request{Next: 30 * time.Second})
		if got := v.Started.Sub(begin); got < 35*time.Second || got > 36*time.Second {
			t.Errorf("started after %s, want 30 s and 5 s to settle", got)
		}
	})
}

// A restart at every moment: the validation is done once, with one set of
// events.
func TestRestart(t *testing.T) {
	reference := ""
	for _, after := range []time.Duration{0, 10 * time.Second, 35 * time.Second, 35500 * time.Millisecond, 40 * time.Second} {
		t.Run(after.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.shop.slow = 300 * time.Millisecond
				w.boot()
				v := w.start(guardian.Request{ID: "r", Next: 30 * time.Second})
				time.Sleep(after)
				w.shutdown()
				w.boot()
				v, err := w.svc.Wait(t.Context(), v.ID)
				if err != nil {
					t.Fatal(err)
				}
				w.shutdown()
				if v.Number != 1 || v.Status != judge.StatusLearning {
					t.Errorf("%+v", v)
				}
				got := w.events.types()
				if got[change.TypeValidationStarted] != 1 || got[change.TypeValidationObjective] != 3 || got[change.TypeValidationFinished] != 1 {
					t.Errorf("events %v", got)
				}
				verdict, _ := json.Marshal(v.Verdict)
				if reference == "" {
					reference = string(verdict)
				}
				if string(verdict) != reference {
					t.Errorf("another verdict after the restart:\n%s\n%s", verdict, reference)
				}
			})
		})
	}
}

// The outcome cannot be stored at first: it is tried until it can, and nobody
// hears of a verdict before it is safe.
func TestStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n := 0
		w.store.fail = func(v guardian.Validation) error {
			if v.State == guardian.StateFinished {
				if n++; n <= 3 {
					return fault.Unavailable("disk full")
				}
			}
			return nil
		}
		w.config = func(c *guardian.Config) {
			c.Notify = func(v guardian.Validation) {
				if v.State == guardian.StateFinished && n <= 3 {
					t.Error("told of a verdict that is not stored")
				}
			}
		}
		w.boot()
		defer w.shutdown()
		if v := w.validate(guardian.Request{Last: time.Minute}); v.Status != judge.StatusLearning || n != 4 {
			t.Errorf("%s after %d attempts", v.Status, n)
		}
	})
}

// The process ends between storing the outcome and recording its events: the
// same events are recorded after the restart.
func TestEventsAreMadeUpFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.defs[0].Objectives = []guardian.Objective{{
			Objective: judge.Objective{Name: "errors", Threshold: &judge.Threshold{Fail: &judge.Limit{Op: ">", Value: 0.01}}},
			Indicator: guardian.Indicator{ErrorRate: &guardian.SpanIndicator{}},
		}}
		now := time.Now()
		w.shop.failing, w.shop.since = 0.5, now.Add(-time.Minute)
		w.traces = traces{failedTrace(1, now.Add(-time.Second))}
		flip := change.Event{ID: "flip", Kind: change.KindFlag, Key: "f", To: "on", Start: now.Add(-2 * time.Second), Ref: entity.Ref{Service: "payment"}}
		w.events.Record(t.Context(), flip)
		w.boot()
		w.validate(guardian.Request{Last: time.Minute})
		w.shutdown()
		want := w.events.list
		w.events.list = w.events.list[:2] // the flip, and that it started
		w.boot()
		synctest.Wait()
		w.shutdown()
		if diff := cmp.Diff(want, w.events.list); diff != "" || want[len(want)-1].Properties["cause"] != "flip" {
			t.Errorf("events (-first +made up for):\n%s", diff)
		}
	})
}

// An event that the log refuses as wrong does not hold the verdict back.
func TestRefusedEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.config = func(c *guardian.Config) { c.Recorder = refusing{} }
		w.boot()
		defer w.shutdown()
		if v := w.validate(guardian.Request{Last: time.Minute}); v.Status != judge.StatusLearning {
			t.Errorf("%s: %s", v.Status, v.Headline)
		}
	})
}

type refusing struct{}

func (refusing) Record(context.Context, change.Event) (change.Event, error) {
	return change.Event{}, fault.Invalid("no such thing")
}

func TestConcurrencyIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.shop.slow = time.Second
		w.config = func(c *guardian.Config) { c.Concurrency = 3 }
		w.boot()
		defer w.shutdown()
		var ids []string
		for range 10 {
			ids = append(ids, w.start(guardian.Request{Last: time.Minute}).ID)
		}
		for _, id := range ids {
			if _, err := w.svc.Wait(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		if w.shop.most != 3 {
			t.Errorf("%d at once, want 3", w.shop.most)
		}
	})
}

func TestSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		g := checkout
		g.Schedule = &guardian.Schedule{Every: time.Minute, Last: 30 * time.Second}
		w.defs = definitions{g}
		w.boot()
		time.Sleep(150 * time.Second)
		w.shutdown()
		w.boot() // within a slot: none is started twice
		time.Sleep(90 * time.Second)
		w.shutdown()
		list, _ := w.store.Validations(t.Context(), guardian.HistoryQuery{})
		if len(list) != 4 {
			t.Fatalf("%d validations in 4 minutes", len(list))
		}
		for _, v := range list {
			if v.Trigger != "schedule" || v.Window.Length() != 30*time.Second || v.Window.To.Second() != 0 {
				t.Errorf("%+v", v)
			}
		}
	})
}

func TestPeopleDecideAboutTraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.boot()
		defer w.shutdown()
		w.train()
		w.shop.failing, w.shop.since = 0.5, time.Now()
		bad := w.validate(guardian.Request{Next: time.Minute})
		if bad.Status != judge.StatusFail {
			t.Fatalf("%s: %s", bad.Status, bad.Headline)
		}
		learned := func() int {
			probe := w.validate(guardian.Request{Last: time.Minute})
			if _, err := w.svc.Reject(t.Context(), probe.ID, "kim", "only a probe"); err != nil {
				t.Fatal(err)
			}
			return probe.Verdict.Results[1].Learned
		}
		if n := learned(); n != 5 {
			t.Errorf("learned from %d runs, want 5: a failed run does not train", n)
		}
		v, err := w.svc.Accept(t.Context(), bad.ID, "kim", "it was meant to be so")
		if err != nil || v.Training != guardian.TrainingAccepted {
			t.Fatal(v.Training, err)
		}
		if n := learned(); n != 6 {
			t.Errorf("learned from %d runs, want 6 after a person accepted one", n)
		}
		if _, err := w.svc.Reject(t.Context(), bad.ID, "kim", "a mistake"); err != nil {
			t.Fatal(err)
		}
		if n := learned(); n != 5 {
			t.Errorf("learned from %d runs, want 5 after it was rejected", n)
		}
		if got := w.events.types(); got[guardian.TypeTraining] != 5 {
			t.Errorf("events %v", got)
		}
		if _, err := w.svc.Train(t.Context(), bad.ID, "maybe", "kim", ""); !fault.Is(err, fault.KindInvalid) {
			t.Errorf("unknown decision: %v", err)
		}
		pending := w.start(guardian.Request{Next: time.Hour})
		if _, err := w.svc.Accept(t.Context(), pending.ID, "kim", ""); !fault.Is(err, fault.KindConflict) {
			t.Errorf("unfinished: %v", err)
		}
	})
}

func TestPinKeepsOneReference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.boot()
		defer w.shutdown()
		a := w.validate(guardian.Request{Last: time.Minute})
		b := w.validate(guardian.Request{Last: time.Minute})
		for _, id := range []string{a.ID, b.ID} {
			if _, err := w.svc.Pin(t.Context(), id, true, "kim", "known good"); err != nil {
				t.Fatal(err)
			}
		}
		pinned, _ := w.store.Validations(t.Context(), guardian.HistoryQuery{Pinned: true})
		if len(pinned) != 1 || pinned[0].ID != b.ID {
			t.Errorf("pinned %+v", pinned)
		}
		if v, _ := w.store.Validation(t.Context(), a.ID); len(v.Sources) != 3 {
			t.Errorf("unpinning lost the sources of %+v", v)
		}
		// With a reference there is nothing left to learn.
		if v := w.validate(guardian.Request{Last: time.Minute}); v.Status != judge.StatusPass {
			t.Errorf("against a reference: %s: %s", v.Status, v.Headline)
		}
	})
}

func TestVariantsLearnApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		g := checkout
		g.VariantBy = []string{"environment"}
		w.defs = definitions{g}
		w.boot()
		defer w.shutdown()
		for range 5 {
			w.validate(guardian.Request{Last: time.Minute, Tags: map[string]string{"environment": "dev"}})
		}
		v := w.validate(guardian.Request{Last: time.Minute, Tags: map[string]string{"environment": "prod"}})
		if v.Variant != "environment=prod" || v.Status != judge.StatusLearning {
			t.Errorf("%q: %s", v.Variant, v.Status)
		}
	})
}

func TestComparisonsReadTheirBaseline(t *testing.T) {
	dev := entity.Ref{Service: "checkout", Environment: "dev"}
	production := entity.Ref{Service: "checkout", Environment: "production"}
	for name, tc := range map[string]struct {
		set    func(*guardian.Objective)
		target entity.Ref
		ago    time.Duration
	}{
		"another place":        {func(o *guardian.Objective) { o.CompareTo = &entity.Ref{Environment: "production"} }, production, 0},
		"an earlier time":      {func(o *guardian.Objective) { o.Shift = time.Hour }, dev, time.Hour},
		"both":                 {func(o *guardian.Objective) { o.CompareTo, o.Shift = &production, time.Hour }, production, time.Hour},
		"of another's service": {func(o *guardian.Objective) { o.Indicator.ErrorRate.Target, o.Shift = &production, time.Hour }, production, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				o := guardian.Objective{
					Objective: judge.Objective{Name: "errors", Comparison: &judge.Comparison{}},
					Indicator: guardian.Indicator{ErrorRate: &guardian.SpanIndicator{}},
				}
				tc.set(&o)
				w.defs = definitions{{Name: "checkout", Target: dev, Objectives: []guardian.Objective{o}}}
				w.boot()
				defer w.shutdown()
				v := w.validate(guardian.Request{Last: time.Minute})
				if v.Verdict.Results[0].Criterion != "comparison" || v.Verdict.Results[0].Baseline.IsNaN() {
					t.Errorf("%+v", v.Verdict.Results[0])
				}
				base := w.shop.readings[1]
				at := base.Target
				if s := base.Indicator.ErrorRate.Target; s != nil {
					at = *s
				}
				if at != tc.target || !base.Window.From.Equal(v.Window.From.Add(-tc.ago)) || base.Window.Length() != time.Minute {
					t.Errorf("read %s over %v, want %s %s before %v", at, base.Window, tc.target, tc.ago, v.Window)
				}
			})
		})
	}
}

func TestOptionalObjectives(t *testing.T) {
	heat := guardian.Objective{Objective: judge.Objective{Name: "heat"}, Indicator: guardian.Indicator{PromQL: "heat"}, Optional: true}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.defs = definitions{checkout, {Name: "only", Target: checkout.Target, Objectives: []guardian.Objective{heat}}}
		w.boot()
		defer w.shutdown()
		for _, r := range w.validate(guardian.Request{Last: time.Minute}).Verdict.Results {
			if r.Name == guardian.SignalSaturation {
				t.Error("an optional objective without data is in the verdict")
			}
		}
		if v := w.validate(guardian.Request{Guardian: "only", Last: time.Minute}); v.Status != judge.StatusError {
			t.Errorf("nothing was read: %s: %s", v.Status, v.Headline)
		}
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.boot()
		defer w.shutdown()
		v := w.start(guardian.Request{Next: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if v, err := w.svc.Wait(ctx, v.ID); !errors.Is(err, context.DeadlineExceeded) || v.State != guardian.StatePending {
			t.Errorf("%s, %v", v.State, err)
		}
		if _, err := w.svc.Wait(t.Context(), "nobody"); !fault.Is(err, fault.KindNotFound) {
			t.Errorf("unknown: %v", err)
		}
	})
}

func TestNewWantsWhatItNeeds(t *testing.T) {
	_, err := guardian.New(guardian.Config{Store: newMemory(), Sampler: &service{}})
	if !fault.Is(err, fault.KindInvalid) || !strings.Contains(err.Error(), "Definitions") {
		t.Error(err)
	}
}
