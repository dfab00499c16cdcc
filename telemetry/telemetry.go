// Package telemetry holds what a system says about itself, as values: spans
// and the traces they form, log records, and the names of the metric series
// that are derived from them. It has no storage and no wire format; stores
// implement [TraceReader] and [LogReader], and everything that explains a
// verdict reads through those two.
package telemetry

import (
	"context"
	"encoding/hex"
	"iter"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
)

// TraceID is a W3C trace id. It reads and writes as 32 lower-case hex digits.
type TraceID [16]byte

// SpanID is a W3C span id. It reads and writes as 16 lower-case hex digits.
type SpanID [8]byte

// String returns the hex form.
func (t TraceID) String() string { return hex.EncodeToString(t[:]) }

// IsZero reports whether the id is all zero, which the specification forbids.
func (t TraceID) IsZero() bool { return t == TraceID{} }

// MarshalText returns the hex form.
func (t TraceID) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText parses the hex form.
func (t *TraceID) UnmarshalText(b []byte) error {
	id, err := ParseTraceID(string(b))
	*t = id
	return err
}

// ParseTraceID parses 32 hex digits; shorter ids (64-bit, as Jaeger shows
// them) are padded with zeros on the left.
func ParseTraceID(s string) (TraceID, error) {
	var id TraceID
	if err := parseHex(id[:], s); err != nil {
		return TraceID{}, fault.Invalid("trace id %q: expected up to 32 hex digits", s)
	}
	return id, nil
}

// String returns the hex form.
func (s SpanID) String() string { return hex.EncodeToString(s[:]) }

// IsZero reports whether the id is all zero: no span.
func (s SpanID) IsZero() bool { return s == SpanID{} }

// MarshalText returns the hex form; the zero id is the empty string.
func (s SpanID) MarshalText() ([]byte, error) {
	if s.IsZero() {
		return nil, nil
	}
	return []byte(s.String()), nil
}

// UnmarshalText parses the hex form.
func (s *SpanID) UnmarshalText(b []byte) error {
	*s = SpanID{}
	if err := parseHex(s[:], string(b)); err != nil {
		return fault.Invalid("span id %q: expected up to 16 hex digits", b)
	}
	return nil
}

func parseHex(dst []byte, s string) error {
	if len(s) > 2*len(dst) {
		return hex.ErrLength
	}
	for len(s) < 2*len(dst) {
		s = "0" + s
	}
	_, err := hex.Decode(dst, []byte(s))
	return err
}

// Kind is the role a span plays in a remote call (OpenTelemetry SpanKind).
type Kind string

// The span kinds.
const (
	KindUnspecified Kind = "unspecified"
	KindInternal    Kind = "internal"
	KindServer      Kind = "server"
	KindClient      Kind = "client"
	KindProducer    Kind = "producer"
	KindConsumer    Kind = "consumer"
)

// Status is how a span ended (OpenTelemetry status code).
type Status string

// The span statuses.
const (
	StatusUnset Status = "unset"
	StatusOK    Status = "ok"
	StatusError Status = "error"
)

// Attributes are key/value pairs; values are string, bool, int64, float64,
// []any or map[string]any.
type Attributes map[string]any

// Span is one operation of one service, fully decoded.
type Span struct {
	TraceID  TraceID `json:"traceId"`
	ID       SpanID  `json:"spanId"`
	ParentID SpanID  `json:"parentId,omitempty"`

	entity.Ref        // the service that did the work
	Name       string `json:"name" doc:"operation"`
	Kind       Kind   `json:"kind"`
	Scope      string `json:"scope,omitempty" doc:"instrumentation scope"`

	Start    time.Time     `json:"start"`
	Duration time.Duration `json:"duration" doc:"nanoseconds"`

	Status        Status     `json:"status"`
	StatusMessage string     `json:"statusMessage,omitempty"`
	Attributes    Attributes `json:"attributes,omitempty"`
	Resource      Attributes `json:"resource,omitempty"`
	Events        []Event    `json:"events,omitempty"`
	Links         []Link     `json:"links,omitempty"`
}

// End returns when the span ended.
func (s *Span) End() time.Time { return s.Start.Add(s.Duration) }

// Failed reports whether the span ended with an error.
func (s *Span) Failed() bool { return s.Status == StatusError }

// Event is something that happened during a span.
type Event struct {
	Name       string     `json:"name"`
	Time       time.Time  `json:"time"`
	Attributes Attributes `json:"attributes,omitempty"`
}

// Link points from a span to a span of another trace.
type Link struct {
	TraceID    TraceID    `json:"traceId"`
	SpanID     SpanID     `json:"spanId"`
	Attributes Attributes `json:"attributes,omitempty"`
}

// Exception is a recorded exception (OpenTelemetry semantic conventions,
// exception.* attributes of an event named "exception").
type Exception struct {
	Type       string `json:"type"`
	Message    string `json:"message"`
	Stacktrace string `json:"stacktrace,omitempty"`
}

// Exception returns the last exception that the span recorded.
func (s *Span) Exception() (Exception, bool) {
	for i := len(s.Events) - 1; i >= 0; i-- {
		if e := s.Events[i]; e.Name == "exception" {
			str := func(k string) string { v, _ := e.Attributes[k].(string); return v }
			return Exception{
				Type:       str("exception.type"),
				Message:    str("exception.message"),
				Stacktrace: str("exception.stacktrace"),
			}, true
		}
	}
	return Exception{}, false
}

// LogRecord is one line of a log.
type LogRecord struct {
	Time     time.Time `json:"time"`
	Observed time.Time `json:"observed,omitzero"`
	entity.Ref
	Severity       string     `json:"severity,omitempty" doc:"TRACE DEBUG INFO WARN ERROR FATAL"`
	SeverityNumber int        `json:"severityNumber,omitempty"`
	Body           string     `json:"body"`
	TraceID        TraceID    `json:"traceId,omitzero"`
	SpanID         SpanID     `json:"spanId,omitzero"`
	Attributes     Attributes `json:"attributes,omitempty"`
	Resource       Attributes `json:"resource,omitempty"`
}

// TraceQuery selects traces. Zero fields do not restrict. A trace matches
// when one of its spans satisfies every span condition together.
type TraceQuery struct {
	entity.Ref
	Operation     string
	Status        Status
	MinDuration   time.Duration
	MaxDuration   time.Duration
	Attributes    map[string]string // equality, on span or resource attributes
	ExceptionType string
	From, To      time.Time // on the start of the span; To is exclusive
	Limit         int       // number of traces; 0 means the store's default (20)
}

// TraceReader reads stored traces. Implementations are safe for concurrent use.
type TraceReader interface {
	// Trace returns one whole trace, spans ordered by start.
	// An unknown id is a fault of KindNotFound.
	Trace(ctx context.Context, id TraceID) (*Trace, error)
	// Traces yields matching whole traces, newest first, at most q.Limit.
	Traces(ctx context.Context, q TraceQuery) iter.Seq2[*Trace, error]
}

// FailureGroup is the failed spans of one operation that died of one type of
// exception.
type FailureGroup struct {
	entity.Ref
	Operation     string    `json:"operation"`
	ExceptionType string    `json:"exceptionType,omitempty" doc:"of the last recorded exception; empty when none was"`
	Count         int       `json:"count" doc:"spans"`
	First         time.Time `json:"first" doc:"start of the first of them"`
	Last          time.Time `json:"last"`
	Example       TraceID   `json:"example" doc:"trace of the last of them"`
}

// LogTemplate is the log records of one service and severity that differ only
// in their variables.
type LogTemplate struct {
	entity.Ref
	SeverityNumber int       `json:"severityNumber,omitempty"`
	Template       string    `json:"template" doc:"the line, with <*> for variables"`
	Count          int       `json:"count"`
	First          time.Time `json:"first"`
	Last           time.Time `json:"last"`
}

// LogQuery selects log records. Zero fields do not restrict.
type LogQuery struct {
	entity.Ref
	MinSeverity int // severity number, 17 = ERROR
	TraceID     TraceID
	Contains    string // case-insensitive, in the body
	From, To    time.Time
	Limit       int // 0 means the store's default (100)
}

// LogReader reads stored log records. Safe for concurrent use.
type LogReader interface {
	// Logs returns matching records, newest first.
	Logs(ctx context.Context, q LogQuery) ([]LogRecord, error)
}
