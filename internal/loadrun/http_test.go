package loadrun

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidegate-io/tidegate/loadtest"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(code int) *http.Response {
	return &http.Response{StatusCode: code, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}"))}
}

func job(rate float64, d time.Duration) loadtest.Job {
	return loadtest.Job{
		Run: loadtest.Run{ID: "run-1", Test: "acceptance"},
		Test: loadtest.Test{Name: "acceptance", Request: &loadtest.Request{Method: "POST", URL: "http://shop.test/api", Body: "{}"},
			Stages: []loadtest.Stage{{To: rate}, {To: rate, Over: d}}},
	}
}

func TestSendsAtThePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var sent atomic.Int64
		h := &HTTP{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			n := sent.Add(1)
			if due := time.Duration(n) * 50 * time.Millisecond; (time.Since(began) - due).Abs() > time.Microsecond {
				t.Errorf("request %d sent at %s, want %s", n, time.Since(began), due)
			}
			time.Sleep(20 * time.Millisecond)
			if n%4 == 0 {
				return answer(500), nil
			}
			return answer(200), nil
		})}
		var reports int
		j := job(20, 10*time.Second)
		j.Progress = func(loadtest.Result) { reports++ }
		out, err := h.Run(t.Context(), j)
		if err != nil {
			t.Fatal(err)
		}
		r := out.Result
		if r.Requests != 200 || r.Failures != 50 || r.Codes["500"] != 50 || r.Rate != 20 || r.Dropped != 0 {
			t.Errorf("result %+v", r)
		}
		if r.P50 < 20*time.Millisecond || r.P50 > 21*time.Millisecond {
			t.Errorf("p50 %s, want 20ms", r.P50)
		}
		if reports < 9 || reports > 10 {
			t.Errorf("%d progress reports in 10 s", reports)
		}
	})
}

// A target that stalls for a second must show it in the latencies and must
// not slow the pace; what finds no slot is dropped, not sent later.
func TestOpenLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		h := &HTTP{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			time.Sleep(time.Until(began.Add(time.Second)))
			return answer(200), nil
		})}
		j := job(100, 2*time.Second)
		j.Test.MaxInFlight = 60
		out, err := h.Run(t.Context(), j)
		if err != nil {
			t.Fatal(err)
		}
		r := out.Result
		if r.Requests+r.Dropped != 200 || r.Dropped < 38 || r.Dropped > 40 {
			t.Errorf("%d sent and %d dropped, want 200 together and about 39 dropped", r.Requests, r.Dropped)
		}
		if r.Max < 980*time.Millisecond {
			t.Errorf("max %s hides the stall", r.Max)
		}
	})
}

func TestCancelGivesUpAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &HTTP{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})}
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		time.AfterFunc(time.Second, cancel)
		out, err := h.Run(ctx, job(10, time.Minute))
		if !errors.Is(err, context.Canceled) || time.Since(began) != time.Second {
			t.Errorf("returned %v after %s", err, time.Since(began))
		}
		if out.Result.Failures != 0 {
			t.Errorf("%d requests that we gave up count as failures", out.Result.Failures)
		}
	})
}

func TestTimeoutIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &HTTP{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})}
		j := job(1, 2*time.Second)
		j.Test.Timeout = 500 * time.Millisecond
		out, err := h.Run(t.Context(), j)
		if err != nil || out.Result.Failures != 2 || out.Result.Errors["timeout"] != 2 || out.Result.Codes["0"] != 2 {
			t.Errorf("got %+v, %v", out.Result, err)
		}
	})
}

func TestRequestsCarryTheRun(t *testing.T) {
	form := regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-01$`)
	parents := make(chan string, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parents <- r.Header.Get("Traceparent")
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("Baggage") != "tidegate.run.id=run-1,tidegate.test=acceptance" || string(body) != "{}" || r.Header.Get("X-A") != "b" {
			t.Errorf("headers %v, body %q", r.Header, body)
		}
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	defer srv.Close()
	j := job(100, 50*time.Millisecond)
	j.Test.Request.URL = srv.URL
	j.Test.Request.Headers = map[string]string{"X-A": "b"}
	out, err := new(HTTP).Run(t.Context(), j)
	if err != nil || out.Result.Requests != 5 || out.Result.Codes["302"] != 5 || out.Result.Failures != 0 {
		t.Fatalf("got %+v, %v", out.Result, err)
	}
	close(parents)
	seen := map[string]bool{}
	for p := range parents {
		if !form.MatchString(p) || seen[p] {
			t.Errorf("traceparent %q", p)
		}
		seen[p] = true
	}
}

func TestReasonsDoNotDifferByPort(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		panic(http.ErrAbortHandler)
	}))
	defer srv.Close()
	j := job(100, 60*time.Millisecond)
	j.Test.Request.URL = srv.URL
	out, err := new(HTTP).Run(t.Context(), j)
	if err != nil || out.Result.Failures != 6 || len(out.Result.Errors) > 2 {
		t.Errorf("got %+v, %v", out.Result, err)
	}
}

// What a request costs the generator itself, without a network.
func BenchmarkSend(b *testing.B) {
	s := newSender(job(1, time.Second), roundTrip(func(*http.Request) (*http.Response, error) { return answer(200), nil }))
	b.ReportAllocs()
	for b.Loop() {
		s.tally.Add(s.send(b.Context()))
	}
}
