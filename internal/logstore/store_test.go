package logstore

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/internal/otlp/wire"
	"github.com/tidegate-io/tidegate/internal/otlp/wire/wiretest"
	"github.com/tidegate-io/tidegate/telemetry"
)

var epoch = time.Unix(1_800_000_000, 0).UTC()

func open(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func decode(t testing.TB, req []byte) (out []telemetry.LogRecord) {
	t.Helper()
	err := wire.WalkLogs(req, func(res *wire.Resource, _ []byte, l *wire.Log) error {
		r, err := wire.DecodeLog(res, l)
		out = append(out, r)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// naive answers q by looking at every record.
func naive(all []telemetry.LogRecord, q telemetry.LogQuery) []telemetry.LogRecord {
	out := []telemetry.LogRecord{}
	for _, r := range all {
		if q.Covers(r.Ref) && r.SeverityNumber >= q.MinSeverity && (q.TraceID.IsZero() || q.TraceID == r.TraceID) &&
			strings.Contains(strings.ToLower(r.Body), strings.ToLower(q.Contains)) &&
			(q.From.IsZero() || !r.Time.Before(q.From)) && (q.To.IsZero() || r.Time.Before(q.To)) {
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b telemetry.LogRecord) int { return cmp.Compare(b.Time.UnixNano(), a.Time.UnixNano()) })
	return out[:min(len(out), q.Limit)]
}

// TestSearchAgreesWithLookingAtEverything runs every query on a growing
// store, on a reopened one, and on one that is indexed on disk.
func TestSearchAgreesWithLookingAtEverything(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), SegmentBytes: 64 << 10}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var all []telemetry.LogRecord
	gen := wiretest.New(5, epoch)
	for i := range 40 {
		req := gen.Logs(wiretest.Services[i%3], 50)
		all = append(all, decode(t, req)...)
		if err := s.Append(context.Background(), epoch, req); err != nil {
			t.Fatal(err)
		}
	}
	mid := epoch.Add(time.Second)
	queries := []telemetry.LogQuery{
		{Limit: 10},
		{Limit: 9999},
		{Ref: entity.Ref{Service: "checkout"}, Limit: 30},
		{Ref: entity.Ref{Service: "checkout", Environment: "production"}, MinSeverity: 17, Limit: 30},
		{Ref: entity.Ref{Service: "nobody"}, Limit: 30},
		{Contains: "DECLINED by", Limit: 30},
		{Contains: "user-00", Limit: 30},
		{Contains: "é", Limit: 30},
		{TraceID: all[9].TraceID, Limit: 30},
		{TraceID: telemetry.TraceID{1}, Limit: 30},
		{From: mid, Limit: 2000},
		{To: mid, Limit: 2000},
		{From: mid, To: mid.Add(time.Second), MinSeverity: 9, Limit: 20},
	}
	check := func(state string) {
		t.Helper()
		for i, q := range queries {
			got, err := s.Logs(context.Background(), q)
			if err != nil {
				t.Fatal(err)
			}
			if diff := gocmp.Diff(naive(all, q), got); diff != "" {
				t.Errorf("%s, query %d %+v: %s", state, i, q, diff)
			}
		}
		checkTemplates(t, state, s, all)
		services, err := s.Services(context.Background())
		if err != nil || !slices.Equal(services, []string{"cart", "checkout", "frontend"}) {
			t.Errorf("%s: %v %v", state, services, err)
		}
		if st, err := s.Stats(); err != nil || st.Records != int64(len(all)) {
			t.Errorf("%s: %d records, %v", state, st.Records, err)
		}
	}
	check("growing")
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	deadline := time.Now().Add(30 * time.Second)
	for !indexed(s) && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-ended; err != nil || !indexed(s) {
		t.Fatalf("indexed %v, err %v", indexed(s), err)
	}
	check("indexed")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, cfg)
	check("reopened")
}

// indexed reports whether every sealed segment has its index on disk.
func indexed(s *Store) bool {
	v := s.log.View()
	defer v.Close()
	segs := v.Segments()
	for _, seg := range segs[1:] {
		if _, ok := seg.Digest(); !ok {
			return false
		}
	}
	return len(segs) > 1
}

func TestTimeOfArrivalAndOddBodies(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	ld := plog.NewLogs()
	sl := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
	sl.LogRecords().AppendEmpty().Body().SetEmptyMap().PutStr("msg", "Structured")
	sl.LogRecords().AppendEmpty().Body().SetInt(12345)
	sl.LogRecords().AppendEmpty().Body().SetStr("Straße ÜBER")
	sl.LogRecords().AppendEmpty() // no body at all
	timed := sl.LogRecords().AppendEmpty()
	timed.SetTimestamp(pcommon.NewTimestampFromTime(epoch.Add(-time.Hour)))
	timed.Body().SetStr("old")
	req, err := plogotlp.NewExportRequestFromLogs(ld).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Append(context.Background(), epoch, req); err != nil {
		t.Fatal(err)
	}
	for needle, want := range map[string]int{"structured": 1, "234": 1, "über": 1, "": 5, "absent": 0} {
		got, err := s.Logs(context.Background(), telemetry.LogQuery{Contains: needle})
		if err != nil || len(got) != want {
			t.Errorf("%q: %d found, %v", needle, len(got), err)
		}
	}
	got, err := s.Logs(context.Background(), telemetry.LogQuery{From: epoch, To: epoch.Add(time.Nanosecond)})
	if err != nil || len(got) != 4 || !got[0].Time.Equal(epoch) {
		t.Errorf("by time of arrival: %+v, %v", got, err)
	}
}

func TestMalformedAndEmpty(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	if err := s.Append(context.Background(), epoch, []byte("no protobuf")); !fault.Is(err, fault.KindInvalid) {
		t.Error(err)
	}
	if err := s.Append(context.Background(), epoch, nil); err != nil {
		t.Error(err)
	}
	if st, err := s.Stats(); err != nil || st.Frames != 0 {
		t.Errorf("%+v %v", st, err)
	}
}

func TestManyServicesInOneSummary(t *testing.T) {
	var sch schema
	gen := wiretest.New(1, epoch)
	var sums []*summary
	for i := range 2 * maxServices {
		sum, _, err := sch.Summarise(gen.Logs(strings.Repeat("s", i+1), 10))
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, sum)
	}
	m := sch.Merge(sums)
	if len(m.services) > maxServices+1 || m.records != 20*maxServices {
		t.Errorf("%d services, %d records", len(m.services), m.records)
	}
	for _, i := range []int{0, 2*maxServices - 1} {
		if !m.may(&telemetry.LogQuery{Ref: entity.Ref{Service: strings.Repeat("s", i+1)}, MinSeverity: 17}) {
			t.Errorf("service %d is denied", i)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	s := open(b, Config{Dir: b.TempDir()})
	req := wiretest.New(1, epoch).Logs("checkout", 512)
	for b.Loop() {
		if err := s.Append(context.Background(), epoch, req); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/512, "ns/record")
	b.ReportMetric(float64(s.log.Stats().Bytes)/float64(b.N)/512, "B/record")
}
