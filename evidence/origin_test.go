package evidence

import (
	"strings"
	"testing"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/telemetry"
)

func TestLocate(t *testing.T) {
	for name, tc := range map[string]struct {
		drawing   string
		operation string
		want      string // service operation, "" for no failed request
		path      string
		note      string // a part of it
	}{
		"down to the deepest": {
			drawing: refused, want: "payment Charge",
			path: "checkout PlaceOrder > payment Charge",
		},
		"the entry itself": {
			drawing: "checkout server PlaceOrder 0-10 error\n\tcheckout client Charge 1-5",
			want:    "checkout PlaceOrder", path: "checkout PlaceOrder",
		},
		"inside the called service": {
			drawing: `
checkout server PlaceOrder 0-50 error
	checkout client Charge 1-40 error
		payment server Charge 2-39 error
			payment internal validate 3-30 error ValueError: bad card
				payment client SELECT 4-20 db.system=postgresql error timeout`,
			want: "payment SELECT", path: "checkout PlaceOrder > payment Charge > payment SELECT",
		},
		"an error that was survived": {
			drawing: "checkout server PlaceOrder 0-10\n\tcheckout client Charge 1-5 error refused",
			want:    "",
		},
		"the attempt that was given up after": {
			drawing: `
checkout server PlaceOrder 0-50 error
	checkout client Recommend 1-5 error
		recommend server List 2-4 error
	checkout client Charge 10-40 error
		payment server Charge 12-38 error`,
			want: "payment Charge", path: "checkout PlaceOrder > payment Charge",
		},
		"cancelled because the other failed": {
			drawing: `
checkout server PlaceOrder 0-50 error
	checkout client Charge 1-20 error
		payment server Charge 2-19 error X: boom
	checkout client Ship 1-21 error context canceled`,
			want: "payment Charge", path: "checkout PlaceOrder > payment Charge",
		},
		"the other side is missing": {
			drawing: `
checkout server PlaceOrder 0-50 error
	checkout client Charge 1-40 server.address=payment error connection refused`,
			want: "checkout Charge", path: "checkout PlaceOrder > checkout Charge", note: "payment was not reached",
		},
		"a database has no other side": {
			drawing: `
checkout server PlaceOrder 0-50 error
	checkout client INSERT 1-40 db.system=mysql error deadlock`,
			want: "checkout INSERT", path: "checkout PlaceOrder > checkout INSERT",
		},
		"one operation": {
			drawing: refused, operation: "GetQuote", want: "",
		},
		"work that began when all was over": {
			drawing: `
checkout server PlaceOrder 0-50 error X: own
	checkout producer enqueue 1-2
	email consumer send 5000-5100 error`,
			want: "checkout PlaceOrder", path: "checkout PlaceOrder",
		},
		"a target that serves nobody": {
			drawing: "checkout internal nightly 0-50 error X: y\n\tcheckout client Ship 1-40 error",
			want:    "checkout Ship", path: "checkout nightly > checkout Ship", note: "was not reached",
		},
	} {
		t.Run(name, func(t *testing.T) {
			o, ok := locate(trace(t, 1, t0, tc.drawing), target, tc.operation)
			if !ok {
				if tc.want != "" {
					t.Fatal("no failed request found")
				}
				return
			}
			if got := o.span().Service + " " + o.span().Name; got != tc.want {
				t.Errorf("began in %q, want %q", got, tc.want)
			}
			var path []string
			for _, h := range o.hops() {
				path = append(path, h.Service+" "+h.Operation)
			}
			if got := strings.Join(path, " > "); got != tc.path {
				t.Errorf("path %q, want %q", got, tc.path)
			}
			if (tc.note == "") != (o.note == "") || !strings.Contains(o.note, tc.note) {
				t.Errorf("note %q, want %q", o.note, tc.note)
			}
		})
	}
}

// Traces come from outside: cycles and repeated ids must not hang.
func TestLocateEndsOnHostileTraces(t *testing.T) {
	tr := trace(t, 1, t0, refused)
	for i := range tr.Spans {
		tr.Spans[i].Status = telemetry.StatusError
		tr.Spans[i].ParentID = tr.Spans[(i+1)%len(tr.Spans)].ID
	}
	locate(tr, target, "")
	selfTimes(tr, &tr.Spans[0])
	for i := range tr.Spans {
		tr.Spans[i].ID = telemetry.SpanID{1}
		tr.Spans[i].ParentID = telemetry.SpanID{1}
	}
	locate(tr, entity.Ref{}, "")
	selfTimes(tr, &tr.Spans[0])
	if _, ok := locate(&telemetry.Trace{}, target, ""); ok {
		t.Error("a failure in an empty trace")
	}
}

// Of a trace that was cut nobody knows whether the called side left a span.
func TestCutTraceSaysNothingOfTheOtherSide(t *testing.T) {
	tr := trace(t, 1, t0, "checkout server PlaceOrder 0-50 error\n\tcheckout client Charge 1-40 server.address=payment.shop.svc error refused")
	for _, cut := range []bool{false, true} {
		tr.Truncated = cut
		o, ok := locate(tr, entity.Ref{Service: "checkout"}, "")
		if !ok || (o.note == "") != cut || (o.peer == "") {
			t.Errorf("cut %v: %v, peer %q, note %q", cut, ok, o.peer, o.note)
		}
	}
}
