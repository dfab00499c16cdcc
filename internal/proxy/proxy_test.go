package proxy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/tidegate-io/tidegate/delivery/traffic"
	"github.com/tidegate-io/tidegate/fault"
)

// memory is a traffic.Store.
type memory struct {
	mu     sync.Mutex
	splits map[string]traffic.Split
}

func (m *memory) PutSplit(_ context.Context, s traffic.Split) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.splits == nil {
		m.splits = map[string]traffic.Split{}
	}
	if m.splits[s.Route].Generation >= s.Generation {
		return fault.Conflict("later")
	}
	m.splits[s.Route] = s
	return nil
}

func (m *memory) Splits(context.Context) ([]traffic.Split, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []traffic.Split
	for _, s := range m.splits {
		out = append(out, s)
	}
	return out, nil
}

// backend answers with its name, the body it was sent, and the status.
func backend(t *testing.T, name string, h http.HandlerFunc) traffic.Side {
	t.Helper()
	if h == nil {
		h = func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s:%s", name, body)
		}
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return traffic.Side{Name: name, Version: "v-" + name, URL: srv.URL}
}

func dead(t *testing.T, name string) traffic.Side {
	srv := httptest.NewServer(nil)
	srv.Close()
	return traffic.Side{Name: name, Version: "v-" + name, URL: srv.URL}
}

type rig struct {
	*Server
	t    *testing.T
	url  string
	stop func()
}

func start(t *testing.T, store traffic.Store, otlp string, def traffic.Route) *rig {
	t.Helper()
	s, err := New(t.Context(), Config{Store: store, OTLP: otlp})
	if err != nil {
		t.Fatal(err)
	}
	def.Name, def.Listen, def.Service = "shop", "127.0.0.1:0", "shop-edge"
	if err := s.Define([]traffic.Route{def}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	status, err := s.Route("shop")
	if err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return &rig{s, t, "http://" + status.Address, stop}
}

func (r *rig) split(stable, candidate traffic.Side, weight float64) {
	r.t.Helper()
	now, err := r.Split("shop")
	if err == nil {
		err = r.SetSplit(r.t.Context(), now.With(stable, candidate, weight))
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) get(header ...string) (string, *http.Response) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), "POST", r.url+"/buy", strings.NewReader("book"))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return string(body), res
}

func TestRequestsGoWhereTheSplitSays(t *testing.T) {
	blue, green := backend(t, "blue", nil), backend(t, "green", nil)
	r := start(t, &memory{}, "", traffic.Route{Sides: []traffic.Side{blue}, ForceHeader: "X-Side"})
	if got, _ := r.get(); got != "blue:book" {
		t.Errorf("before: %q", got)
	}
	r.split(blue, green, 0)
	if got, _ := r.get(); got != "blue:book" {
		t.Errorf("at 0 %%: %q", got)
	}
	if got, _ := r.get("X-Side", "green"); got != "green:book" {
		t.Errorf("forced: %q", got)
	}
	r.split(blue, green, 100)
	if got, _ := r.get(); got != "green:book" {
		t.Errorf("at 100 %%: %q", got)
	}
}

func TestACallerStaysWithItsSide(t *testing.T) {
	blue, green := backend(t, "blue", nil), backend(t, "green", nil)
	for name, def := range map[string]traffic.Route{"header": {StickyHeader: "X-User"}, "cookie": {StickyCookie: "place"}} {
		t.Run(name, func(t *testing.T) {
			def.Sides = []traffic.Side{blue}
			r := start(t, &memory{}, "", def)
			r.split(blue, green, 50)
			sides := map[string]int{}
			for caller := range 40 {
				header := []string{"X-User", fmt.Sprint(caller)}
				first, res := r.get(header...)
				if def.StickyCookie != "" {
					if len(res.Cookies()) != 1 || !res.Cookies()[0].HttpOnly {
						t.Fatalf("cookies %v", res.Cookies())
					}
					header = []string{"Cookie", res.Cookies()[0].Name + "=" + res.Cookies()[0].Value}
				}
				for range 5 {
					if again, _ := r.get(header...); again != first {
						t.Fatalf("caller %d went from %s to %s", caller, first, again)
					}
				}
				sides[first]++
			}
			if len(sides) != 2 {
				t.Errorf("all callers went to one side: %v", sides)
			}
		})
	}
}

// A switch back and forth under load loses no request, and the side that was
// taken out gets none after it has drained.
func TestASwitchLosesNothing(t *testing.T) {
	var late, drained atomic.Bool
	slow := func(name string) traffic.Side {
		return backend(t, name, func(w http.ResponseWriter, r *http.Request) {
			if name == "blue" && drained.Load() {
				late.Store(true)
			}
			time.Sleep(time.Duration(len(r.URL.Path)) * time.Millisecond)
			fmt.Fprint(w, name)
		})
	}
	blue, green := slow("blue"), slow("green")
	r := start(t, &memory{}, "", traffic.Route{Sides: []traffic.Side{blue}})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var sent, lost atomic.Int64
	for range 16 {
		wg.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				sent.Add(1)
				res, err := client.Get(r.url + "/some/longer/path")
				if err != nil || res.StatusCode != 200 {
					lost.Add(1)
					continue
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
		})
	}
	for i := range 20 {
		r.split(blue, green, float64(100*((i+1)%2)))
		time.Sleep(10 * time.Millisecond)
	}
	r.split(green, green, 100)
	if left, err := r.Drained(t.Context(), "shop", "blue"); err != nil || left != 0 {
		t.Errorf("drained: %d left, %v", left, err)
	}
	drained.Store(true)
	time.Sleep(100 * time.Millisecond)
	cancel()
	wg.Wait()
	if lost.Load() != 0 || sent.Load() < 100 || late.Load() {
		t.Errorf("%d of %d requests lost; late to the drained side: %v", lost.Load(), sent.Load(), late.Load())
	}
	if left, err := r.Drained(t.Context(), "shop", "green"); err != nil || left != 0 {
		t.Errorf("drained at the end: %d left, %v", left, err)
	}
	status, _ := r.Route("shop")
	if len(status.Sides) != 1 || status.Sides[0].Side != "green" {
		t.Errorf("sides left: %+v", status.Sides)
	}
}

func TestADeadCandidateIsSeenAndHurtsNobody(t *testing.T) {
	blue, green := backend(t, "blue", nil), dead(t, "green")
	r := start(t, &memory{}, "", traffic.Route{Sides: []traffic.Side{blue}})
	r.split(blue, green, 40)
	for range 50 {
		if got, res := r.get(); got != "blue:book" || res.StatusCode != 200 {
			t.Fatalf("got %q, %d", got, res.StatusCode)
		}
	}
	for _, side := range []string{"blue", "green"} { // an answer is there a moment before it is counted
		if left, err := r.Drained(t.Context(), "shop", side); err != nil || left != 0 {
			t.Fatalf("%s: %d under way, %v", side, left, err)
		}
	}
	status, _ := r.Route("shop")
	b, g := status.Sides[0], status.Sides[1]
	if b.Requests != 50 || b.Failures != 0 || g.Requests == 0 || g.Failures != g.Requests || g.Rescued != g.Requests {
		t.Errorf("counted %+v", status.Sides)
	}
	r.split(green, green, 100)
	if got, res := r.get(); res.StatusCode != 502 || !strings.Contains(got, "v-green") {
		t.Errorf("with nobody to rescue: %d %q", res.StatusCode, got)
	}
}

func TestWhatFailsIsCounted(t *testing.T) {
	bad := backend(t, "bad", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cut" {
			w.Header().Set("Content-Length", "10")
			_, _ = w.Write([]byte("half"))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(500)
	})
	r := start(t, &memory{}, "", traffic.Route{Sides: []traffic.Side{bad}})
	if _, res := r.get(); res.StatusCode != 500 {
		t.Errorf("status %d", res.StatusCode)
	}
	if res, err := http.Get(r.url + "/cut"); err == nil {
		if _, err := io.ReadAll(res.Body); err == nil {
			t.Error("an answer that was cut off looks whole")
		}
		res.Body.Close()
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		status, _ := r.Route("shop")
		if s := status.Sides[0]; s.Requests == 2 && s.Failures == 2 && s.InFlight == 0 {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("counted %+v", s)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestARestartGoesOnWithTheSplit(t *testing.T) {
	blue, green, store := backend(t, "blue", nil), backend(t, "green", nil), &memory{}
	r := start(t, store, "", traffic.Route{Sides: []traffic.Side{blue}})
	r.split(blue, green, 100)
	if err := r.SetSplit(t.Context(), traffic.Split{Route: "shop", Generation: 1, Sides: []traffic.Part{{Side: blue, Weight: 100}}}); !fault.Is(err, fault.KindConflict) {
		t.Errorf("an old generation: %v", err)
	}
	if err := r.SetSplit(t.Context(), traffic.Split{Route: "shop", Generation: 9}); !fault.Is(err, fault.KindInvalid) {
		t.Errorf("a split without sides: %v", err)
	}
	r.stop()
	r = start(t, store, "", traffic.Route{Sides: []traffic.Side{blue}})
	if got, _ := r.get(); got != "green:book" {
		t.Errorf("after the restart: %q", got)
	}
}

func TestRoutesComeAndGo(t *testing.T) {
	r := start(t, &memory{}, "", traffic.Route{})
	if got, res := r.get(); res.StatusCode != 503 || !strings.Contains(got, "no version") {
		t.Errorf("without sides: %d %q", res.StatusCode, got)
	}
	taken := strings.TrimPrefix(r.url, "http://")
	err := r.Define([]traffic.Route{
		{Name: "shop", Listen: "127.0.0.1:0", Service: "shop-edge", Sides: []traffic.Side{backend(t, "blue", nil)}},
		{Name: "other", Listen: taken, Service: "other"},
	})
	if !fault.Is(err, fault.KindUnavailable) || !strings.Contains(err.Error(), "route other") {
		t.Errorf("a taken port: %v", err)
	}
	if got, _ := r.get(); got != "blue:book" {
		t.Errorf("redefined: %q", got)
	}
	if err := r.Define(nil); err != nil || len(r.Routes()) != 0 {
		t.Errorf("none: %v, %v", err, r.Routes())
	}
	if _, err := r.Split("shop"); !fault.Is(err, fault.KindNotFound) {
		t.Errorf("gone: %v", err)
	}
}

// Each request becomes one server span of the version that answered, in the
// caller's trace.
func TestEveryRequestIsReportedOnce(t *testing.T) {
	var mu sync.Mutex
	got := map[string]int{}
	var failed, inTrace int
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		req := ptraceotlp.NewExportRequest()
		if err := req.UnmarshalProto(body); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, rs := range req.Traces().ResourceSpans().All() {
			version, _ := rs.Resource().Attributes().Get("service.version")
			service, _ := rs.Resource().Attributes().Get("service.name")
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					got[service.Str()+" "+version.Str()+" "+span.Name()+" "+span.Kind().String()]++
					if span.Status().Code() == 2 {
						failed++
					}
					if span.TraceID().String() == "0af7651916cd43dd8448eb211c80319c" && span.ParentSpanID().String() == "b7ad6b7169203331" {
						inTrace++
					}
				}
			}
		}
	}))
	defer collector.Close()
	var passed atomic.Int64
	blue := backend(t, "blue", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("traceparent"), "00-0af7651916cd43dd8448eb211c80319c-") && !strings.Contains(r.Header.Get("traceparent"), "b7ad6b7169203331") {
			passed.Add(1)
		}
	})
	green := backend(t, "green", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) })
	r := start(t, &memory{}, strings.TrimPrefix(collector.URL, "http://"), traffic.Route{Sides: []traffic.Side{blue}})
	const n = 30
	parent := []string{"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	for range n {
		r.get(parent...)
	}
	r.split(blue, green, 100)
	for range n {
		r.get(parent...)
	}
	r.stop() // sends what is left
	if got["shop-edge v-blue POST Server"] != n || got["shop-edge v-green POST Server"] != n || failed != n || inTrace != 2*n || passed.Load() != n {
		t.Errorf("reported %v, %d failed, %d in the caller's trace; %d passed on", got, failed, inTrace, passed.Load())
	}
}

func BenchmarkForward(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer srv.Close()
	s, err := New(b.Context(), Config{Store: &memory{}})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Define([]traffic.Route{{Name: "shop", Listen: "127.0.0.1:0", Service: "edge", Sides: []traffic.Side{{Name: "a", URL: srv.URL}}}}); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	status, _ := s.Route("shop")
	for name, url := range map[string]string{"direct": srv.URL, "proxied": "http://" + status.Address} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				res, err := http.Get(url)
				if err != nil {
					b.Fatal(err)
				}
				res.Body.Close()
			}
		})
	}
	cancel()
	<-done
}
