package jaegerapi

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"sort"
	"strconv"

	"github.com/tidegate-io/tidegate/telemetry"
)

// traceJSON and what it holds are Jaeger's JSON model of a trace.
type traceJSON struct {
	TraceID   string             `json:"traceID"`
	Spans     []spanJSON         `json:"spans"`
	Processes map[string]process `json:"processes"`
	Warnings  []string           `json:"warnings"`
}

type spanJSON struct {
	TraceID       string      `json:"traceID"`
	SpanID        string      `json:"spanID"`
	OperationName string      `json:"operationName"`
	References    []reference `json:"references"`
	StartTime     int64       `json:"startTime"` // µs since the epoch
	Duration      int64       `json:"duration"`  // µs
	Tags          []keyValue  `json:"tags"`
	Logs          []logJSON   `json:"logs"`
	ProcessID     string      `json:"processID"`
	Warnings      []string    `json:"warnings"`
}

type reference struct {
	RefType string `json:"refType"`
	TraceID string `json:"traceID"`
	SpanID  string `json:"spanID"`
}

type keyValue struct {
	Key   string `json:"key"`
	Type  string `json:"type"`
	Value any    `json:"value"`
}

type logJSON struct {
	Timestamp int64      `json:"timestamp"` // µs since the epoch
	Fields    []keyValue `json:"fields"`
}

type process struct {
	ServiceName string     `json:"serviceName"`
	Tags        []keyValue `json:"tags"`
}

// encode translates a trace as the OpenTelemetry specification maps spans to
// Jaeger's.
func encode(t *telemetry.Trace) traceJSON {
	out := traceJSON{TraceID: t.ID.String(), Spans: make([]spanJSON, 0, len(t.Spans)), Processes: map[string]process{}}
	ids := map[string]string{} // of processes, by what they are
	for i := range t.Spans {
		s := &t.Spans[i]
		p := process{ServiceName: s.Service, Tags: keyValues(s.Resource, "service.name")}
		key := fmt.Sprint(p)
		if ids[key] == "" {
			ids[key] = "p" + strconv.Itoa(len(ids)+1)
			out.Processes[ids[key]] = p
		}
		out.Spans = append(out.Spans, encodeSpan(s, ids[key]))
	}
	return out
}

func encodeSpan(s *telemetry.Span, processID string) spanJSON {
	out := spanJSON{
		TraceID: s.TraceID.String(), SpanID: s.ID.String(), OperationName: s.Name,
		References: references(s),
		StartTime:  s.Start.UnixMicro(), Duration: s.Duration.Microseconds(),
		Tags:      append(keyValues(s.Attributes, ""), derived(s)...),
		Logs:      make([]logJSON, 0, len(s.Events)),
		ProcessID: processID,
	}
	for _, e := range s.Events {
		fields := append([]keyValue{{"event", "string", e.Name}}, keyValues(e.Attributes, "event")...)
		out.Logs = append(out.Logs, logJSON{e.Time.UnixMicro(), fields})
	}
	return out
}

func references(s *telemetry.Span) []reference {
	out := []reference{}
	if !s.ParentID.IsZero() {
		out = append(out, reference{"CHILD_OF", s.TraceID.String(), s.ParentID.String()})
	}
	for _, l := range s.Links {
		out = append(out, reference{"FOLLOWS_FROM", l.TraceID.String(), l.SpanID.String()})
	}
	return out
}

// derived are the tags that stand for fields Jaeger's model has not.
func derived(s *telemetry.Span) []keyValue {
	var out []keyValue
	if s.Kind != "" && s.Kind != telemetry.KindUnspecified {
		out = append(out, keyValue{"span.kind", "string", string(s.Kind)})
	}
	switch s.Status {
	case telemetry.StatusError:
		out = append(out, keyValue{"error", "bool", true}, keyValue{"otel.status_code", "string", "ERROR"})
	case telemetry.StatusOK:
		out = append(out, keyValue{"otel.status_code", "string", "OK"})
	}
	if s.StatusMessage != "" {
		out = append(out, keyValue{"otel.status_description", "string", s.StatusMessage})
	}
	if s.Scope != "" {
		out = append(out, keyValue{"otel.scope.name", "string", s.Scope})
	}
	return out
}

// keyValues returns attributes in order of their keys, all but one.
func keyValues(attrs telemetry.Attributes, without string) []keyValue {
	out := make([]keyValue, 0, len(attrs))
	for k, v := range attrs {
		if k != without {
			out = append(out, typed(k, v))
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Key < out[j].Key })
	return out
}

func typed(key string, v any) keyValue {
	switch v := v.(type) {
	case string:
		return keyValue{key, "string", v}
	case bool:
		return keyValue{key, "bool", v}
	case int64:
		return keyValue{key, "int64", v}
	case float64:
		if b, err := json.Marshal(v); err == nil {
			return keyValue{key, "float64", json.RawMessage(b)}
		}
		return keyValue{key, "string", strconv.FormatFloat(v, 'g', -1, 64)} // not a number, infinite
	case []byte:
		return keyValue{key, "binary", base64.StdEncoding.EncodeToString(v)}
	}
	if b, err := json.Marshal(v); err == nil {
		return keyValue{key, "string", string(b)}
	}
	return keyValue{key, "string", fmt.Sprint(v)}
}
