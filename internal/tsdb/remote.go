package tsdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql"

	"github.com/tidegate-io/tidegate/fault"
)

// RemoteConfig says where a Prometheus API is and how it is asked.
type RemoteConfig struct {
	// URL in front of /api/v1, such as https://prometheus.example.com or
	// https://mimir.example.com/prometheus. Required; it carries no secrets.
	URL string
	// User makes Secret a password; without one it is a bearer token.
	User string
	// Secret is asked at every request, so that it may change while the process
	// runs. Optional.
	Secret func() (string, error)
	// Timeout of one request; default 30 s.
	Timeout time.Duration
	// MaxBytes of one answer, decompressed; default 64 MiB. Raw samples that do
	// not fit are read in shorter pieces.
	MaxBytes int64
	// Attempts for a request that fails for a passing reason: no connection, 429
	// and 5xx; default 4. The wait before the second one is about Backoff,
	// default 250 ms, and doubles after it.
	Attempts int
	Backoff  time.Duration
	// Transport defaults to http.DefaultTransport.
	Transport http.RoundTripper
}

func (c *RemoteConfig) defaults() error {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil: // err quotes the URL, which may hold what it should not
		return fault.InvalidField("prometheus", "is not a URL")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fault.InvalidField("prometheus", "the URL must carry no user, password, query or fragment; give the secret in a file")
	case u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return fault.InvalidField("prometheus", "%q: expected http://… or https://…", c.URL)
	case strings.HasSuffix(strings.TrimSuffix(u.Path, "/"), "/api/v1"):
		return fault.InvalidField("prometheus", "%q: give the URL without /api/v1", c.URL)
	case c.Timeout < 0 || c.MaxBytes < 0 || c.Attempts < 0 || c.Backoff < 0:
		return fault.Invalid("prometheus: limits cannot be negative")
	case c.User != "" && c.Secret == nil:
		return fault.InvalidField("prometheus", "a user needs a password")
	}
	c.URL = strings.TrimSuffix(c.URL, "/")
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 64 << 20
	}
	if c.Attempts == 0 {
		c.Attempts = 4
	}
	if c.Backoff == 0 {
		c.Backoff = 250 * time.Millisecond
	}
	return nil
}

// Remote is a [Source] over the HTTP API that Prometheus, Mimir, Thanos and
// others answer. It is safe for concurrent use.
//
// Raw samples come from instant queries of range selectors, which every such
// API answers, native histograms in the JSON form of Prometheus 2.40 and later.
type Remote struct {
	cfg  RemoteConfig
	http *http.Client
	busy chan struct{} // one element per request under way
}

var _ Source = (*Remote)(nil)

// remoteRequests bounds the requests under way together: guardians read many
// indicators at once, and the store has other users.
const remoteRequests = 4

// NewRemote returns a source over the API at cfg.URL. It asks nothing yet.
func NewRemote(cfg RemoteConfig) (*Remote, error) {
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	return &Remote{
		cfg: cfg,
		http: &http.Client{
			Transport: cfg.Transport,
			// Following one would turn the POST into a GET without its form.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		busy: make(chan struct{}, remoteRequests),
	}, nil
}

// errTooMuch says that an answer is larger than this side or the other takes.
var errTooMuch = errors.New("the answer is too large")

// shortestPiece is not halved any more when its samples are too many.
const shortestPiece = time.Minute

// Select implements Source. A series comes in several elements, in the order of
// time, when the answer had to be read in pieces.
func (r *Remote) Select(ctx context.Context, selector string, from, to time.Time) (promql.Matrix, error) {
	m, err := selectRaw(ctx, r.query, selector, from, to)
	if errors.Is(err, errTooMuch) && to.Sub(from) > shortestPiece {
		middle := from.Add(to.Sub(from) / 2).Truncate(time.Millisecond)
		m, err = r.Select(ctx, selector, from, middle)
		if err != nil {
			return nil, err
		}
		second, err := r.Select(ctx, selector, middle, to)
		return append(m, second...), err
	}
	return after(m, from.UnixMilli()), err
}

// after drops what is not after t: range selectors include their beginning in
// Prometheus 2, and do not in Prometheus 3.
func after(m promql.Matrix, t int64) promql.Matrix {
	for i := range m {
		s := &m[i]
		for len(s.Floats) > 0 && s.Floats[0].T <= t {
			s.Floats = s.Floats[1:]
		}
		for len(s.Histograms) > 0 && s.Histograms[0].T <= t {
			s.Histograms = s.Histograms[1:]
		}
	}
	return m
}

func (r *Remote) query(ctx context.Context, expr string, at time.Time) (promql.Matrix, error) {
	return r.ask(ctx, "query", url.Values{"query": {expr}, "time": {promTime(at)}})
}

// QueryRange implements Source.
func (r *Remote) QueryRange(ctx context.Context, expr string, from, to time.Time, step time.Duration) (promql.Matrix, error) {
	return r.ask(ctx, "query_range", url.Values{
		"query": {expr}, "start": {promTime(from)}, "end": {promTime(to)},
		"step": {strconv.FormatFloat(step.Seconds(), 'f', -1, 64)},
	})
}

// Settling is how long after its time a sample may come into the store: the
// duration of a scrape, or of a remote write.
const settling = 5 * time.Second

// Settled waits until what belongs before t is expected to be in the store. The
// API does not tell; only the clock does.
func (r *Remote) Settled(ctx context.Context, t time.Time) error {
	return wait(ctx, time.Until(t.Add(settling)))
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask makes a request, again when it failed for a passing reason.
func (r *Remote) ask(ctx context.Context, endpoint string, form url.Values) (promql.Matrix, error) {
	select {
	case r.busy <- struct{}{}:
		defer func() { <-r.busy }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	pause := r.cfg.Backoff
	for attempt := 1; ; attempt++ {
		m, err := r.once(ctx, endpoint, form)
		var passing *passingError
		if err == nil || ctx.Err() != nil || attempt == r.cfg.Attempts || !errors.As(err, &passing) {
			return m, err
		}
		if err := wait(ctx, max(passing.after, pause/2+rand.N(pause))); err != nil {
			return nil, err
		}
		pause *= 2
	}
}

// passingError is a failure that the same request may not meet again.
type passingError struct {
	err   error
	after time.Duration // what the server asked to wait
}

func (e *passingError) Error() string { return e.err.Error() }
func (e *passingError) Unwrap() error { return e.err }

func (r *Remote) once(ctx context.Context, endpoint string, form url.Values) (promql.Matrix, error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.cfg.URL+"/api/v1/"+endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fault.Internal("prometheus: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if err := r.authorize(req); err != nil {
		return nil, err
	}
	res, err := r.http.Do(req)
	if err != nil {
		return nil, &passingError{err: fault.Unavailable("prometheus: %w", err)}
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, refusal(res)
	}
	body := &bounded{r: res.Body, left: r.cfg.MaxBytes}
	m, err := decodeAnswer(body)
	switch {
	case body.exceeded:
		return nil, fault.Invalid("prometheus: %w: more than %d bytes", errTooMuch, r.cfg.MaxBytes)
	case body.err != nil:
		return nil, &passingError{err: fault.Unavailable("prometheus: reading the answer: %w", body.err)}
	case err != nil:
		return nil, fmt.Errorf("prometheus: %w", err)
	}
	return m, nil
}

func (r *Remote) authorize(req *http.Request) error {
	if r.cfg.Secret == nil {
		return nil
	}
	secret, err := r.cfg.Secret()
	switch {
	case err != nil:
		return fault.Unavailable("prometheus: reading the secret: %w", err)
	case secret == "":
		return fault.Invalid("prometheus: the secret is empty")
	case r.cfg.User != "":
		req.SetBasicAuth(r.cfg.User, secret)
	default:
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	return nil
}

// Limits on what a refusal may say and ask for.
const (
	maxRefusal    = 64 << 10 // bytes
	maxReason     = 300      // bytes
	maxRetryAfter = 10 * time.Second
)

// refusal tells what kind of trouble an answer other than 200 is.
func refusal(res *http.Response) error {
	reason := res.Status
	if text := decodeRefusal(io.LimitReader(res.Body, maxRefusal)); text != "" {
		reason += ": " + text[:min(len(text), maxReason)]
	}
	switch code := res.StatusCode; {
	case code == http.StatusTooManyRequests || code >= 500:
		seconds, _ := strconv.Atoi(res.Header.Get("Retry-After"))
		after := min(time.Duration(max(0, min(seconds, 60)))*time.Second, maxRetryAfter)
		return &passingError{fault.Unavailable("prometheus: %s", reason), after}
	case code == http.StatusUnprocessableEntity:
		// What a query can be refused for when it is run: its size. An expression
		// may have other faults; only raw samples are read in shorter pieces.
		return fault.Invalid("prometheus: %w", &refused{reason})
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return fault.Denied("prometheus: %s: is the token or password right?", reason)
	case code == http.StatusNotFound || code == http.StatusMethodNotAllowed || code >= 300 && code < 400:
		return fault.Invalid("prometheus: %s: is the URL that of a Prometheus API, without /api/v1?", reason)
	}
	return fault.Invalid("prometheus: %s", reason)
}

// refused is a query that the store would not run through.
type refused struct{ reason string }

func (e *refused) Error() string        { return e.reason }
func (e *refused) Is(target error) bool { return target == errTooMuch }

// bounded reads up to a number of bytes and remembers why it ended.
type bounded struct {
	r        io.Reader
	left     int64
	exceeded bool
	err      error
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		b.exceeded = true
		return 0, errTooMuch
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}
