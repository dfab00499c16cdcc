package tracestore

import (
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/tidegate-io/tidegate/telemetry"
)

// TestAttributesOfEveryType: an attribute is found by its text, whatever its
// type, and however that stands in the request.
func TestAttributesOfEveryType(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	texts := map[string]string{
		"string": "user-17", "digits": "17", "base64": "YWJjZA==", "int": "-42", "float": "2.5", "bool": "true",
		"list": `["a",1]`, "map": `{"k":"v"}`, "bytes": "AAEC/w==", "broken": "a\uFFFDb", "empty": "",
	}
	td := ptrace.NewTraces()
	span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetTraceID(pcommon.TraceID{1})
	span.SetSpanID(pcommon.SpanID{1})
	span.SetName("op")
	a := span.Attributes()
	for _, key := range []string{"string", "digits", "base64", "empty"} {
		a.PutStr(key, texts[key])
	}
	a.PutStr("broken", "a\xffb")
	a.PutInt("int", -42)
	a.PutDouble("float", 2.5)
	a.PutBool("bool", true)
	list := a.PutEmptySlice("list")
	list.AppendEmpty().SetStr("a")
	list.AppendEmpty().SetInt(1)
	a.PutEmptyMap("map").PutStr("k", "v")
	a.PutEmptyBytes("bytes").FromRaw([]byte{0, 1, 2, 255})
	req, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	add(t, s, epoch, req)
	for key, text := range texts {
		if got := search1(t, s, telemetry.TraceQuery{Attributes: map[string]string{key: text}}); len(got) != 1 {
			t.Errorf("%s=%q is not found", key, text)
		}
		if got := search1(t, s, telemetry.TraceQuery{Attributes: map[string]string{key: text + "x"}}); len(got) != 0 {
			t.Errorf("%s=%q is found", key, text+"x")
		}
	}
}
