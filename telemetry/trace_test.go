package telemetry

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/entity"
)

var t0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func span(id, parent byte, start, length int, service string) Span {
	s := Span{ID: SpanID{id}, Ref: entity.Ref{Service: service}, Name: "op",
		Start: t0.Add(time.Duration(start) * time.Millisecond), Duration: time.Duration(length) * time.Millisecond}
	if parent != 0 {
		s.ParentID = SpanID{parent}
	}
	return s
}

func TestRoot(t *testing.T) {
	for name, c := range map[string]struct {
		spans []Span
		want  byte // 0: none
	}{
		"empty":                     {nil, 0},
		"the one without a parent":  {[]Span{span(2, 1, 1, 1, "b"), span(1, 0, 0, 9, "a")}, 1},
		"parent missing: the child": {[]Span{span(2, 9, 3, 1, "b"), span(3, 2, 4, 1, "c")}, 2},
		"two roots: the earliest":   {[]Span{span(2, 0, 5, 1, "b"), span(1, 0, 1, 1, "a")}, 1},
		"its own parent":            {[]Span{span(1, 1, 0, 1, "a")}, 1},
		"a cycle, which is hostile": {[]Span{span(1, 2, 0, 1, "a"), span(2, 1, 0, 1, "b")}, 1},
	} {
		root := (&Trace{Spans: c.spans}).Root()
		switch {
		case root == nil && c.want != 0, root != nil && root.ID != (SpanID{c.want}):
			t.Errorf("%s: %+v", name, root)
		}
	}
}

func TestSummary(t *testing.T) {
	failed := span(2, 1, 10, 50, "payment")
	failed.Status = StatusError
	failed.Events = []Event{{Name: "exception", Attributes: Attributes{"exception.type": "Declined", "exception.message": "no", "exception.stacktrace": "long"}}}
	tr := Trace{Spans: []Span{failed, span(1, 0, 0, 40, "checkout")}}
	tr.Sort()
	got := tr.Summary()
	if got.Service != "checkout" || got.Errors != 1 || got.Spans != 2 || got.Duration != 60*time.Millisecond || !got.Start.Equal(t0) {
		t.Errorf("%+v", got)
	}
	if got.Exception == nil || got.Exception.Type != "Declined" || got.Exception.Stacktrace != "" {
		t.Errorf("exception %+v: the type and message, not the stack", got.Exception)
	}
}

func TestIDs(t *testing.T) {
	id, err := ParseTraceID("4bf92f3577b34da6")
	if err != nil || id.String() != "00000000000000004bf92f3577b34da6" {
		t.Errorf("64-bit ids are padded on the left: %s %v", id, err)
	}
	for _, bad := range []string{"xyz", "4bf92f3577b34da6a3ce929d0e0e47360"} {
		if _, err := ParseTraceID(bad); err == nil {
			t.Errorf("%q is no trace id", bad)
		}
	}
	s := span(1, 0, 0, 1, "a")
	raw, err := json.Marshal(s)
	var back Span
	if err != nil || json.Unmarshal(raw, &back) != nil || back.ID != s.ID || !back.ParentID.IsZero() {
		t.Errorf("%s %v", raw, err)
	}
}
