package proxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidegate-io/tidegate/delivery/traffic"
)

// side is one backend with its connections, counts and telemetry.
type side struct {
	traffic.Side
	proxy     *httputil.ReverseProxy
	transport *http.Transport
	report    *reporter

	requests, failures, rescued, inFlight atomic.Int64
}

// Limits on connections to backends.
const (
	dialTimeout  = 2 * time.Second
	maxIdleConns = 256
)

var propagator = propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})

func newSide(d traffic.Route, def traffic.Side, otlp receiver, log *slog.Logger) *side {
	target, err := url.Parse(def.URL)
	if err != nil { // Validate lets none through
		log.Error("backend", "side", def.Name, "error", err)
		target = &url.URL{Scheme: "http", Host: "invalid"}
	}
	s := &side{Side: def, report: newReporter(d, def, otlp, log)}
	s.transport = &http.Transport{
		DialContext:         (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		MaxIdleConnsPerHost: maxIdleConns, IdleConnTimeout: idleTimeout, TLSHandshakeTimeout: dialTimeout,
		ExpectContinueTimeout: time.Second, DisableCompression: true, ForceAttemptHTTP2: true,
	}
	s.proxy = &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.Out.Host = p.In.Host
			p.Out.Header["X-Forwarded-For"] = p.In.Header["X-Forwarded-For"]
			p.SetXForwarded()
			propagator.Inject(p.Out.Context(), propagation.HeaderCarrier(p.Out.Header))
		},
		Transport:     s.transport,
		FlushInterval: -1, // streams are passed on as they come
		ErrorLog:      slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ErrorHandler:  s.failed,
	}
	return s
}

func (s *side) close() {
	s.transport.CloseIdleConnections()
	s.report.close()
}

func (s *side) status() traffic.SideStatus {
	return traffic.SideStatus{Side: s.Name, Version: s.Version, Requests: s.requests.Load(), Failures: s.failures.Load(),
		Rescued: s.rescued.Load(), InFlight: s.inFlight.Load()}
}

// attempt is one request at one side, from the context of the forwarded one.
type attempt struct {
	body   *heldBody
	rescue *side
	err    error // why there was no answer
}

type attemptKey struct{}

// answer forwards a request and reports it. When the side cannot be connected
// to, rescue, if there is one, answers.
func (s *side) answer(w http.ResponseWriter, req *http.Request, rescue *side) {
	ctx, span := s.report.start(req)
	a := &attempt{rescue: rescue}
	out := req.WithContext(context.WithValue(ctx, attemptKey{}, a))
	if rescue != nil && req.Body != nil && req.Body != http.NoBody {
		a.body = &heldBody{ReadCloser: req.Body}
		out.Body = a.body
	}
	rec := &recorder{ResponseWriter: w}
	aborted := s.forward(rec, out)
	if aborted != nil && a.err == nil {
		a.err = errors.New("the answer ended early")
	}
	s.count(req, rec.status, a, span)
	switch {
	case aborted != nil:
		panic(aborted)
	case a.rescued():
		s.rescued.Add(1)
		rescue.inFlight.Add(1)
		defer rescue.inFlight.Add(-1)
		rescue.answer(w, req, nil) // as it came: the failed span is not its parent
	}
}

// forward passes the request on. When an answer breaks off in the middle,
// ReverseProxy panics so that net/http ends the connection; that is for the
// caller to do, once the request is counted.
func (s *side) forward(w http.ResponseWriter, req *http.Request) (aborted any) {
	defer func() { aborted = recover() }()
	s.proxy.ServeHTTP(w, req)
	return nil
}

func (s *side) count(req *http.Request, status int, a *attempt, span trace.Span) {
	s.requests.Add(1)
	gone := req.Context().Err() != nil // the caller went away: nobody's fault
	if failed := !gone && (a.err != nil || status >= http.StatusInternalServerError); failed {
		s.failures.Add(1)
		reason := http.StatusText(status)
		if a.err != nil {
			reason = a.err.Error()
			span.RecordError(a.err)
		}
		span.SetStatus(codes.Error, reason)
	}
	if status != 0 {
		span.SetAttributes(attribute.Int("http.response.status_code", status))
	}
	span.End()
}

// failed is called when the side gave no answer. Where nothing was sent yet
// the request is left for the rescue.
func (s *side) failed(w http.ResponseWriter, req *http.Request, err error) {
	a := req.Context().Value(attemptKey{}).(*attempt)
	a.err = err
	if a.rescued() || req.Context().Err() != nil {
		return
	}
	http.Error(w, "the version that should answer, "+s.Version+", cannot be reached", http.StatusBadGateway)
}

// rescued reports whether the request is another side's now: this one could
// not be connected to, and nothing of the body was read.
func (a *attempt) rescued() bool {
	var op *net.OpError
	return a.rescue != nil && a.err != nil && errors.As(a.err, &op) && op.Op == "dial" && (a.body == nil || !a.body.read.Load())
}

// heldBody stays open, so that another side can be sent it.
type heldBody struct {
	io.ReadCloser
	read atomic.Bool
}

func (b *heldBody) Read(p []byte) (int, error) {
	b.read.Store(true)
	return b.ReadCloser.Read(p)
}

// Close leaves the body to net/http, which closes it after the handler.
func (b *heldBody) Close() error { return nil }

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK || status == http.StatusSwitchingProtocols {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach flushing and hijacking.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
