package logstore

import (
	"context"
	"fmt"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/internal/otlp/wire/wiretest"
	"github.com/tidegate-io/tidegate/telemetry"
)

func TestMine(t *testing.T) {
	for line, want := range map[string]string{
		"":                                   "",
		"payment declined":                   "payment declined",
		"handled request 4711 in 23ms":       "handled request <*> in <*>",
		"user kim@example.org from 10.0.0.7": "user <*> from <*>",
		"id=3f2a-9c, path=/a/b7/c":           "id=<*>, path=/a/<*>/c",
		"größer als 5":                       "größer als <*>",
	} {
		if got := string(mine(nil, []byte(line))); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
	long := string(make([]byte, 2*maxLine))
	if got := mine(nil, []byte(long)); len(got) > maxLine {
		t.Errorf("a long line makes %d bytes", len(got))
	}
}

// naiveTemplates counts by looking at every record.
func naiveTemplates(all []telemetry.LogRecord, q telemetry.LogQuery) map[string]telemetry.LogTemplate {
	out := map[string]telemetry.LogTemplate{}
	for _, r := range all {
		if !q.Covers(r.Ref) || r.SeverityNumber < q.MinSeverity || r.Time.Before(q.From) || !q.To.IsZero() && !r.Time.Before(q.To) {
			continue
		}
		text := string(mine(nil, []byte(r.Body)))
		key := fmt.Sprint(r.Ref, r.SeverityNumber, text)
		lt, ok := out[key]
		if !ok {
			lt = telemetry.LogTemplate{Ref: r.Ref, SeverityNumber: r.SeverityNumber, Template: text, First: r.Time}
		}
		lt.Count++
		if r.Time.Before(lt.First) {
			lt.First = r.Time
		}
		if r.Time.After(lt.Last) {
			lt.Last = r.Time
		}
		out[key] = lt
	}
	return out
}

func checkTemplates(t *testing.T, state string, s *Store, all []telemetry.LogRecord) {
	t.Helper()
	mid := epoch.Add(time.Second)
	for _, q := range []telemetry.LogQuery{
		{},
		{Ref: entity.Ref{Service: "checkout"}},
		{Ref: entity.Ref{Service: "nobody"}},
		{MinSeverity: 17},
		{From: mid},
		{From: mid.Add(-300 * time.Millisecond), To: mid},
	} {
		list, err := s.Templates(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]telemetry.LogTemplate{}
		for _, lt := range list {
			got[fmt.Sprint(lt.Ref, lt.SeverityNumber, lt.Template)] = lt
		}
		if diff := gocmp.Diff(naiveTemplates(all, q), got); diff != "" {
			t.Errorf("%s, templates of %+v: %s", state, q, diff)
		}
	}
}

// TestManyTemplatesAreBounded: lines that no template fits are counted all the
// same.
func TestManyTemplatesAreBounded(t *testing.T) {
	var ts templates
	ref := &entity.Ref{Service: "s"}
	word := func(i int) string { return fmt.Sprintf("%c%c", 'a'+i%26, 'a'+i/26) }
	for i := range 2 * maxTemplates {
		ts.add(template{ref: ref, text: word(i), count: 1})
	}
	var total uint64
	for _, x := range ts {
		total += x.count
	}
	if len(ts) != maxTemplates+1 || total != 2*maxTemplates {
		t.Errorf("%d templates, %d lines", len(ts), total)
	}
}

// BenchmarkSummarise mines and indexes a request; see ns/record.
func BenchmarkSummarise(b *testing.B) {
	req := wiretest.New(1, epoch).Logs("checkout", 500)
	s := &schema{}
	b.SetBytes(int64(len(req)))
	for b.Loop() {
		if _, _, err := s.Summarise(req); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*500), "ns/record")
}
