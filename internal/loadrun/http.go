// Package loadrun does the work of load tests: [HTTP] is the built-in
// open-loop generator, [Command] runs any other program. Both are
// loadtest.Tools.
//
// Every request of the generator carries a W3C trace context of its own
// (traceparent, https://www.w3.org/TR/trace-context/) and the run in its
// baggage (https://www.w3.org/TR/baggage/):
//
//	baggage: tidegate.run.id=20260102-150405-1a2b3c4d,tidegate.test=acceptance
//
// so that services which propagate baggage can tell test traffic apart.
// A program gets the same through its environment, see [Command].
package loadrun

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/loadtest"
)

// HTTP sends requests as the test's schedule says. The zero value is ready
// and safe for concurrent use.
type HTTP struct {
	// Transport is optional; each run has its own connections by default.
	Transport http.RoundTripper
}

// progressEvery is how often a run says how far it is.
const progressEvery = time.Second

// maxAnswer is how much of an answer is read; the rest is not waited for.
const maxAnswer = 8 << 20

// Run implements loadtest.Tool. It returns when the last request was answered
// or timed out; after ctx ends it gives up on outstanding ones.
func (h *HTTP) Run(ctx context.Context, job loadtest.Job) (loadtest.Outcome, error) {
	if job.Test.Request == nil {
		return loadtest.Outcome{}, fault.Invalid("load test %s has no request", job.Test.Name)
	}
	s := newSender(job, h.Transport)
	defer s.client.CloseIdleConnections()
	sched := loadtest.NewSchedule(job.Test.Stages, job.Test.Duration)

	stopProgress := s.reportProgress(job.Progress)
	err := s.sendAll(ctx, sched)
	s.outstanding.Wait()
	stopProgress()

	res := s.tally.Result(min(time.Since(s.began), sched.Length()))
	if err == nil && res.Requests == 0 {
		err = fault.Unavailable("no request was sent")
	}
	return loadtest.Outcome{Result: &res}, err
}

// sender is the state of one run.
type sender struct {
	request *loadtest.Request
	baggage string
	client  *http.Client
	slots   chan struct{} // one per request in flight
	tally   loadtest.Tally
	began   time.Time

	outstanding sync.WaitGroup
}

func newSender(job loadtest.Job, rt http.RoundTripper) *sender {
	inFlight, timeout := job.Test.MaxInFlight, job.Test.Timeout
	if inFlight <= 0 {
		inFlight = loadtest.DefaultMaxInFlight
	}
	if timeout <= 0 {
		timeout = loadtest.DefaultTimeout
	}
	if rt == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, inFlight
		rt = t
	}
	return &sender{
		request: job.Test.Request,
		baggage: Baggage(job.Run),
		slots:   make(chan struct{}, inFlight),
		began:   time.Now(),
		client: &http.Client{Transport: rt, Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // a redirect is an answer
		}},
	}
}

// Baggage is the value of the baggage header of a run's requests.
func Baggage(run loadtest.Run) string {
	return "tidegate.run.id=" + url.PathEscape(run.ID) + ",tidegate.test=" + url.PathEscape(run.Test)
}

// sendAll sends each request when it is due, and returns after the schedule's
// end. The error is that of ctx.
func (s *sender) sendAll(ctx context.Context, sched loadtest.Schedule) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := int64(0); ; n++ {
		at, ok := sched.Due(n)
		if !ok {
			at = sched.Length() // the test is as long as it says
		}
		due := s.began.Add(at)
		timer.Reset(time.Until(due))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		if !ok {
			return nil
		}
		s.dispatch(ctx, due)
	}
}

// dispatch sends one request in the background, or drops it.
func (s *sender) dispatch(ctx context.Context, due time.Time) {
	select {
	case s.slots <- struct{}{}:
	default:
		s.tally.Drop()
		return
	}
	s.outstanding.Go(func() {
		defer func() { <-s.slots }()
		a := s.send(ctx)
		if ctx.Err() != nil {
			return // given up by us, which says nothing about the target
		}
		a.Latency = time.Since(due)
		s.tally.Add(a)
	})
}

func (s *sender) send(ctx context.Context) loadtest.Answer {
	req, err := http.NewRequestWithContext(ctx, s.request.Method, s.request.URL, strings.NewReader(s.request.Body))
	if err != nil {
		return loadtest.Answer{Error: reason(err)}
	}
	if s.request.Body == "" {
		req.Body, req.GetBody = http.NoBody, nil
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("User-Agent", "tidegate-loadtest")
	for k, v := range s.request.Headers {
		req.Header.Set(k, v)
	}
	req.Header.Set("Baggage", s.baggage)
	req.Header.Set("Traceparent", traceparent())
	resp, err := s.client.Do(req)
	if err != nil {
		return loadtest.Answer{Error: reason(err)}
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer)); err != nil {
		return loadtest.Answer{Code: resp.StatusCode, Error: reason(err)}
	}
	return loadtest.Answer{Code: resp.StatusCode}
}

// traceparent starts a new, sampled trace.
func traceparent() string {
	const digits = "0123456789abcdef"
	var raw [24]byte
	binary.BigEndian.PutUint64(raw[0:], rand.Uint64()|1) // ids must not be zero
	binary.BigEndian.PutUint64(raw[8:], rand.Uint64())
	binary.BigEndian.PutUint64(raw[16:], rand.Uint64()|1)
	out := make([]byte, 0, 55)
	out = append(out, "00-"...)
	for i, b := range raw {
		if i == 16 {
			out = append(out, '-')
		}
		out = append(out, digits[b>>4], digits[b&15])
	}
	return string(append(out, "-01"...))
}

// ephemeral is the local end of a connection, different in every message.
var ephemeral = regexp.MustCompile(`(\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:]+\]):\d+->`)

// reason is the message without what differs from request to request.
func reason(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		if u.Timeout() {
			return "timeout"
		}
		err = u.Err
	}
	return ephemeral.ReplaceAllString(err.Error(), "")
}

// reportProgress calls progress until the returned func is called.
func (s *sender) reportProgress(progress func(loadtest.Result)) (stop func()) {
	if progress == nil {
		return func() {}
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				progress(s.tally.Result(time.Since(s.began)))
			}
		}
	})
	return func() { close(done); wg.Wait() }
}
