package tracestore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

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

func add(t testing.TB, s *Store, arrival time.Time, req []byte) {
	t.Helper()
	if err := s.Append(context.Background(), arrival, req); err != nil {
		t.Fatal(err)
	}
}

// want is the naive store: everything decoded, in memory.
type want map[telemetry.TraceID][]telemetry.Span

func (w want) add(t testing.TB, req []byte) {
	t.Helper()
	err := wire.Walk(req, func(res *wire.Resource, scope []byte, s *wire.Span) error {
		d, err := wire.DecodeSpan(res, scope, s)
		w[d.TraceID] = append(w[d.TraceID], d)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// search answers q by looking at every span.
func (w want) search(q telemetry.TraceQuery) []telemetry.TraceID {
	newest := map[telemetry.TraceID]time.Time{}
	for id, spans := range w {
		for _, s := range spans {
			e, _ := s.Exception()
			ok := q.Covers(s.Ref) && (q.Operation == "" || q.Operation == s.Name) && (q.Status == "" || q.Status == s.Status) &&
				(q.MinDuration == 0 || s.Duration >= q.MinDuration) && (q.MaxDuration == 0 || s.Duration <= q.MaxDuration) &&
				(q.ExceptionType == "" || e.Type == q.ExceptionType) &&
				(q.From.IsZero() || !s.Start.Before(q.From)) && (q.To.IsZero() || s.Start.Before(q.To))
			for k, v := range q.Attributes {
				got, have := s.Attributes[k]
				if !have {
					got = s.Resource[k]
				}
				ok = ok && fmt.Sprint(got) == v
			}
			if ok && s.Start.After(newest[id]) {
				newest[id] = s.Start
			}
		}
	}
	var ids []telemetry.TraceID
	for id := range newest {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b telemetry.TraceID) int {
		if c := newest[b].Compare(newest[a]); c != 0 {
			return c
		}
		return slices.Compare(a[:], b[:])
	})
	return ids[:min(len(ids), q.Limit)]
}

func search1(t testing.TB, s *Store, q telemetry.TraceQuery) []telemetry.TraceID {
	t.Helper()
	var ids []telemetry.TraceID
	for tr, err := range s.Traces(context.Background(), q) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, tr.ID)
	}
	return ids
}

// fill stores n requests and returns what is in them.
func fill(t testing.TB, s *Store, n, spans int) want {
	t.Helper()
	gen, w := wiretest.New(3, epoch), want{}
	for i := range n {
		req := gen.Request(spans)
		w.add(t, req)
		add(t, s, epoch.Add(time.Duration(i)*time.Second), req)
	}
	return w
}

func checkTraces(t testing.TB, s *Store, w want) {
	t.Helper()
	for id, spans := range w {
		got, err := s.Trace(context.Background(), id)
		if err != nil {
			t.Fatal(err)
		}
		expect := telemetry.Trace{ID: id, Spans: slices.Clone(spans)}
		byID := func(a, b telemetry.Span) int {
			if c := a.Start.Compare(b.Start); c != 0 {
				return c
			}
			return slices.Compare(a.ID[:], b.ID[:])
		}
		slices.SortFunc(expect.Spans, byID)
		slices.SortStableFunc(got.Spans, byID)
		if diff := cmp.Diff(expect, *got); diff != "" {
			t.Fatal(diff)
		}
	}
}

func queries() []telemetry.TraceQuery {
	mid := epoch.Add(60 * time.Millisecond)
	return []telemetry.TraceQuery{
		{Limit: 7},
		{Limit: 1000},
		{Status: telemetry.StatusError, Limit: 5},
		{Ref: entity.Ref{Service: "payment"}, Status: telemetry.StatusError, Limit: 20},
		{Ref: entity.Ref{Service: "cart", Version: "1.2.0", Environment: "production"}, Limit: 20},
		{Ref: entity.Ref{Service: "cart", Version: "9"}, Limit: 20},
		{Operation: "cart/Operation2", Limit: 20},
		{MinDuration: 150 * time.Millisecond, Limit: 20},
		{MaxDuration: 10 * time.Millisecond, Limit: 20},
		{ExceptionType: "PaymentDeclined", Limit: 20},
		{ExceptionType: "Other", Limit: 20},
		{Attributes: map[string]string{"http.response.status_code": "500"}, Limit: 20},
		{Attributes: map[string]string{"service.instance.id": "cart-7d9f0002"}, Limit: 3},
		{Attributes: map[string]string{"no.such": "x"}, Limit: 3},
		{From: mid, Limit: 50},
		{To: mid, Limit: 50},
		{From: mid, To: mid.Add(20 * time.Millisecond), Ref: entity.Ref{Service: "shipping"}, Limit: 50},
		{Status: "nonsense", Limit: 5},
	}
}

// TestSearchAgreesWithLookingAtEverything runs every query on a store in each
// of its states: growing, reopened, sealed and indexed, re-encoded.
func TestSearchAgreesWithLookingAtEverything(t *testing.T) {
	dir := t.TempDir()
	cfg := Config{Dir: dir, SegmentBytes: 64 << 10, ReencodeAfter: 48 * time.Hour, Clock: func() time.Time { return epoch.Add(24 * time.Hour) }}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w := fill(t, s, 20, 60)
	check := func(state string) {
		t.Helper()
		for i, q := range queries() {
			if diff := cmp.Diff(w.search(q), search1(t, s, q)); diff != "" {
				t.Errorf("%s, query %d %+v: %s", state, i, q, diff)
			}
		}
		checkTraces(t, s, w)
		checkFailures(t, state, s, w)
		svc, err := s.Services(context.Background())
		if all := slices.Sorted(slices.Values(wiretest.Services)); err != nil || !slices.Equal(svc, all) {
			t.Errorf("%s: services %v, %v", state, svc, err)
		}
		ops, err := s.Operations(context.Background(), "cart")
		if err != nil || !slices.Equal(ops, []string{"cart/Operation0", "cart/Operation1", "cart/Operation2", "cart/Operation3"}) {
			t.Errorf("%s: operations %v, %v", state, ops, err)
		}
	}
	reopen := func(cfg Config) {
		t.Helper()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = Open(cfg); err != nil {
			t.Fatal(err)
		}
	}
	check("growing")
	reopen(cfg)
	check("reopened")
	runUntil(t, s, func() bool { return indexed(s) })
	check("indexed")
	reopen(cfg)
	check("indexed and reopened")
	cfg.ReencodeAfter = time.Nanosecond
	reopen(cfg)
	before := s.log.Stats().Bytes
	runUntil(t, s, func() bool { return s.log.Stats().Bytes < before*9/10 && indexed(s) })
	check("re-encoded")
	reopen(cfg)
	check("re-encoded and reopened")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*.tmp"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// indexed reports whether every sealed segment has its index on disk.
func indexed(s *Store) bool {
	v := s.log.View()
	defer v.Close()
	n := 0
	for _, seg := range v.Segments()[1:] {
		if _, ok := seg.Digest(); !ok {
			return false
		}
		n++
	}
	return n > 0
}

// runUntil runs the store's background work until done, or fails.
func runUntil(t testing.TB, s *Store, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	deadline := time.Now().Add(30 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Error("background work does not get there")
			break
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestTraceOfManyRequestsLateAndTwice(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	var all []byte
	for i := range 5 {
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", fmt.Sprintf("s%d", i))
		sp := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		sp.SetTraceID(pcommon.TraceID{7})
		sp.SetSpanID(pcommon.SpanID{byte(i + 1)})
		sp.SetStartTimestamp(pcommon.NewTimestampFromTime(epoch.Add(-time.Duration(i) * time.Second)))
		req, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
		if err != nil {
			t.Fatal(err)
		}
		add(t, s, epoch.Add(time.Duration(i)*time.Minute), req)
		add(t, s, epoch.Add(time.Duration(i)*time.Minute), req) // sent again
		all = append(all, req...)
	}
	add(t, s, epoch, all)
	tr, err := s.Trace(context.Background(), telemetry.TraceID{7})
	if err != nil {
		t.Fatal(err)
	}
	if len(tr.Spans) != 5 || tr.Spans[0].Service != "s4" || tr.Spans[4].Service != "s0" {
		t.Fatalf("%+v", tr.Spans)
	}
	if _, err := s.Trace(context.Background(), telemetry.TraceID{8}); !fault.Is(err, fault.KindNotFound) {
		t.Fatal(err)
	}
}

func TestDefectiveSpansAreRejectedOneByOne(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	td := wiretest.New(1, epoch).Traces(10)
	td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).SetTraceID(pcommon.TraceID{})
	req, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	add(t, s, epoch, req)
	n := 0
	for tr, err := range s.Traces(context.Background(), telemetry.TraceQuery{Limit: 100}) {
		if err != nil {
			t.Fatal(err)
		}
		n += len(tr.Spans)
	}
	if n != 9 {
		t.Errorf("%d spans are read", n)
	}
	if err := s.Append(context.Background(), epoch, []byte("no protobuf")); !fault.Is(err, fault.KindInvalid) {
		t.Error(err)
	}
	before := s.log.Stats()
	add(t, s, epoch, nil)
	if s.log.Stats().Bytes != before.Bytes {
		t.Error("an empty request takes room")
	}
}

func TestReplay(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(Config{Dir: dir, SegmentBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	gen := wiretest.New(1, epoch)
	var sent [][]byte
	for i := range 30 {
		req := gen.Request(40)
		sent = append(sent, req)
		add(t, s, epoch.Add(time.Duration(i)*time.Second), req)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Config{Dir: dir, SegmentBytes: 64 << 10})
	i := 12
	err = s.Replay(context.Background(), epoch.Add(12*time.Second), func(arrival time.Time, req []byte) error {
		if !arrival.Equal(epoch.Add(time.Duration(i)*time.Second)) || string(req) != string(sent[i]) {
			t.Fatalf("request %d: arrival %v", i, arrival)
		}
		i++
		return nil
	})
	if err != nil || i != 30 {
		t.Fatalf("stopped at %d: %v", i, err)
	}
}

func TestHostileNamesDoNotGrowSummaries(t *testing.T) {
	td := ptrace.NewTraces()
	for i := range 400 {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", fmt.Sprintf("service-%d", i))
		ss := rs.ScopeSpans().AppendEmpty()
		for j := range 10 {
			sp := ss.Spans().AppendEmpty()
			sp.SetTraceID(pcommon.TraceID{1, byte(i), byte(i >> 8), byte(j)})
			sp.SetSpanID(pcommon.SpanID{1})
			sp.SetName(fmt.Sprintf("op-%d-%d", i, j))
			e := sp.Events().AppendEmpty()
			e.SetName("exception")
			e.Attributes().PutStr("exception.type", fmt.Sprintf("E%d", i*10+j))
		}
	}
	req, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	var sch schema
	sum, _, err := sch.Summarise(req)
	if err != nil {
		t.Fatal(err)
	}
	merged := sch.Merge([]*summary{sum, sum})
	for _, m := range []*summary{sum, merged} {
		// Each service may add one group for all its other operations.
		if len(m.groups) > maxOperations+maxServices+1 || len(m.exceptions) > maxExceptions {
			t.Errorf("%d groups, %d exception types", len(m.groups), len(m.exceptions))
		}
	}
	// What did not fit is still found.
	s := open(t, Config{Dir: t.TempDir()})
	add(t, s, epoch, req)
	for _, q := range []telemetry.TraceQuery{
		{Ref: entity.Ref{Service: "service-399"}, Operation: "op-399-9"},
		{Ref: entity.Ref{Service: "service-0"}, Operation: "op-0-0"},
		{ExceptionType: "E3999"},
	} {
		if ids := search1(t, s, q); len(ids) != 1 {
			t.Errorf("%+v: %d found", q, len(ids))
		}
	}
}

// TestConcurrentAppendAndRead is for the race detector: everything
// acknowledged can be read at once, while segments are sealed, indexed,
// re-encoded and retired.
func TestConcurrentAppendAndRead(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir(), SegmentBytes: 64 << 10, ReencodeAfter: time.Nanosecond, SyncEvery: time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			gen := wiretest.New(uint64(g), epoch)
			for range 15 {
				req := gen.Request(24)
				if err := s.Append(ctx, time.Now(), req); err != nil {
					t.Error(err)
					return
				}
				w := want{}
				w.add(t, req)
				for id, spans := range w {
					tr, err := s.Trace(ctx, id)
					if err != nil || len(tr.Spans) < len(spans) {
						t.Errorf("acknowledged and not readable: %v", err)
					}
					break
				}
				for _, err := range s.Traces(ctx, telemetry.TraceQuery{Status: telemetry.StatusError, Limit: 3}) {
					if err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	st, err := s.Stats()
	if err != nil || st.Spans != 4*15*24 {
		t.Errorf("%d spans stored, %v", st.Spans, err)
	}
}

func TestRetentionByBytes(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Config{Dir: dir, MaxBytes: 1 << 20, SegmentBytes: 128 << 10})
	fill(t, s, 60, 300)
	runUntil(t, s, func() bool { return s.log.Stats().Bytes <= 1<<20 })
	files, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	var size int64
	for _, f := range files {
		st, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		size += st.Size()
	}
	if size > 1<<20 || size == 0 {
		t.Errorf("%d bytes on disk", size)
	}
}

// TestSummariesDoNotHoldRequests: what is remembered of a request is a small
// part of it.
func TestSummariesDoNotHoldRequests(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir(), CacheBytes: 1})
	gen := wiretest.New(1, epoch)
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	add(t, s, epoch, gen.Request(512)) // scratch space is there from now on
	before, sent := heap(), uint64(0)
	for range 40 {
		req := gen.Request(512)
		sent += uint64(len(req))
		add(t, s, epoch, req)
	}
	if grown := int64(heap()) - int64(before); grown > int64(sent)/10 {
		t.Errorf("%d bytes are held for %d sent", grown, sent)
	}
	runtime.KeepAlive(s)
}
