package tsdb

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/judge"
	"github.com/tidegate-io/tidegate/telemetry"
)

// TestSameAnswerFromPrometheus writes the same counters and native histograms
// to a real Prometheus and to the embedded store, and reads every indicator
// from both.
func TestSameAnswerFromPrometheus(t *testing.T) {
	base := startPrometheus(t, installed(t), "")
	start := time.Now().Add(-30 * time.Minute).Truncate(time.Minute)
	embedded := open(t)
	told, _ := story(start)
	for _, moment := range told {
		moment.store(t, embedded)
		moment.send(t, base)
	}
	remote, err := NewRemote(RemoteConfig{URL: base})
	if err != nil {
		t.Fatal(err)
	}
	sameAnswers(t, embedded, remote, start, indicators)
}

func installed(t *testing.T) (program string) {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("prometheus is not installed")
	}
	return program
}

// TestScrapedByPrometheus: what a service counts between two moments, scraped by
// a real Prometheus when it likes, is counted exactly.
func TestScrapedByPrometheus(t *testing.T) {
	program := installed(t)
	var served, scrapes atomic.Int64
	served.Store(1000)
	exporter := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		scrapes.Add(1)
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = fmt.Fprintf(w, "# TYPE %[1]s counter\n%[1]s{service_name=\"checkout\",span_kind=%[2]q,status_code=%[3]q} %[4]d\n",
			telemetry.MetricCalls, telemetry.LabelKindServer, telemetry.LabelStatusError, served.Load())
	}))
	t.Cleanup(exporter.Close)
	base := startPrometheus(t, program, "scrape_configs: [{job_name: x, scrape_interval: 1s, scrape_timeout: 1s, static_configs: [{targets: ["+strings.TrimPrefix(exporter.URL, "http://")+"]}]}]")
	for deadline := time.Now().Add(30 * time.Second); scrapes.Load() < 2; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing is scraped")
		}
	}
	from := time.Now()
	for range 25 {
		served.Add(20)
		time.Sleep(100 * time.Millisecond) // the service is at work
	}
	remote, err := NewRemote(RemoteConfig{URL: base})
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSampler(SamplerConfig{Source: remote, Settled: remote.Settled, Resolution: time.Second, Scraped: true})
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := s.Sample(t.Context(), guardian.Reading{Indicator: errorRate, Target: entity.Ref{Service: "checkout"},
		Window: guardian.Window{From: from, To: time.Now()}})
	if err != nil || got.Err != "" {
		t.Fatal(err, got.Err)
	}
	if bad, total := sums(got); bad != 500 || total != 500 {
		t.Errorf("counted %v of %v, want 500: %v", bad, total, got.Slices)
	}
}

// TestSameAnswerFromOwnAPI does it with the API that this package serves, which
// is that of Prometheus 3.
func TestSameAnswerFromOwnAPI(t *testing.T) {
	start := t0
	embedded := open(t)
	told, _ := story(start)
	for _, moment := range told {
		moment.store(t, embedded)
	}
	all := maps.Clone(indicators)
	// What Prometheus 2 and 3 work out differently.
	all["a quantile"] = guardian.Indicator{PromQL: "histogram_quantile(0.9, sum(rate(" + telemetry.MetricDuration + "[1m])))"}
	all["a rate"] = guardian.Indicator{PromQL: "sum(rate(" + telemetry.MetricCalls + "[1m]))"}
	sameAnswers(t, embedded, remoteOf(t, embedded.HTTPHandler("test"), nil), start, all)
}

// startPrometheus runs the program on a free port until the test ends.
func startPrometheus(t *testing.T, program, configuration string) (base string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(config, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(program, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--web.enable-remote-write-receiver", "--enable-feature=native-histograms")
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s", log.Bytes())
		}
	})
	base = "http://" + address
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		res, err := http.Get(base + "/-/ready")
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return base
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("prometheus is not ready: %v\n%s", err, log.Bytes())
		}
	}
}

// moment is what is scraped at one time: values are float64 or
// *histogram.Histogram.
type moment struct {
	at     time.Time
	series []map[string]string
	values []any
}

func (m *moment) add(series map[string]string, v any) {
	m.series, m.values = append(m.series, series), append(m.values, v)
}

const scrapeInterval = 15 * time.Second

// story is ten minutes of a service, scraped every 15 seconds, 4 seconds past
// the quarters, and a pause of half an hour before them. Two instances serve two operations; instance b is restarted
// after four minutes and gone after seven, a third operation comes after five,
// and c has a coarser layout and durations of zero. It returns the number of
// calls after the pause, too.
func story(start time.Time) (out []moment, total float64) {
	seen := map[string][]float64{}
	calls := map[string]float64{}
	for i := range 41 {
		m := moment{at: start.Add(4*time.Second + time.Duration(i)*scrapeInterval)}
		if i == 0 {
			m.at = m.at.Add(-30 * time.Minute)
		}
		for k, who := range []struct{ instance, operation, status string }{
			{"a", "GET /", telemetry.LabelStatusUnset}, {"a", "POST /", telemetry.LabelStatusError}, {"a", "POST /", telemetry.LabelStatusUnset},
			{"b", "GET /", telemetry.LabelStatusUnset}, {"b", "GET /", telemetry.LabelStatusError}, {"c", "late", telemetry.LabelStatusError},
		} {
			id := fmt.Sprint(who)
			duration, count := series(telemetry.MetricDuration, who.instance, who.operation, who.status), series(telemetry.MetricCalls, who.instance, who.operation, who.status)
			switch {
			case who.instance == "c" && i < 20 || who.instance == "b" && i > 28:
				continue
			case who.instance == "b" && i == 28: // what a scrape finds no more
				m.add(count, math.Float64frombits(value.StaleNaN))
				m.add(duration, &histogram.Histogram{Sum: math.Float64frombits(value.StaleNaN)})
				continue
			case who.instance == "b" && i == 16:
				seen[id], calls[id] = nil, 0
			}
			more := (i*7+k*3)%11 + 1
			for j := range more {
				seen[id] = append(seen[id], 0.0007*math.Pow(1.9, float64((i+j+k)%13)))
			}
			calls[id] += float64(more)
			if i > 0 {
				total += float64(more)
			}
			schema := int32(3)
			h := native(schema, seen[id]...)
			if who.instance == "c" {
				h = native(1, seen[id]...)
				h.ZeroCount = uint64(i)
				h.Count += h.ZeroCount
			}
			m.add(count, calls[id])
			m.add(duration, h)
		}
		out = append(out, m)
	}
	return out, total
}

func series(metric, instance, operation, status string) map[string]string {
	s := calls(status, operation)
	s[model.MetricNameLabel], s["instance"] = metric, instance
	return s
}

func (m *moment) store(t *testing.T, db *DB) {
	t.Helper()
	app := db.Appender(context.Background())
	for i, s := range m.series {
		f, _ := m.values[i].(float64)
		h, _ := m.values[i].(*histogram.Histogram)
		if _, err := app.Append(0, labels.FromMap(s), 0, m.at.UnixMilli(), f, h, nil, storage.AOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
}

// send writes the samples with Prometheus remote write 1.0.
func (m *moment) send(t *testing.T, base string) {
	t.Helper()
	var body []byte
	for i, s := range m.series {
		body = field(body, 1, writtenSeries(s, m.at.UnixMilli(), m.values[i]))
	}
	req, err := http.NewRequest(http.MethodPost, base+"/api/v1/write", bytes.NewReader(snappy.Encode(nil, body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Encoding", "snappy")
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("X-Prometheus-Remote-Write-Version", "0.1.0")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode/100 != 2 {
		var reason bytes.Buffer
		_, _ = reason.ReadFrom(res.Body)
		t.Fatalf("remote write: %s: %s", res.Status, reason.String())
	}
}

// writtenSeries is a TimeSeries message of
// https://prometheus.io/docs/specs/prw/remote_write_spec/.
func writtenSeries(s map[string]string, ms int64, v any) (out []byte) {
	labels.FromMap(s).Range(func(l labels.Label) {
		out = field(out, 1, field(field(nil, 1, []byte(l.Name)), 2, []byte(l.Value)))
	})
	h, ok := v.(*histogram.Histogram)
	if !ok {
		return field(out, 2, varint(double(nil, 1, v.(float64)), 2, uint64(ms)))
	}
	b := varint(nil, 1, h.Count)
	b = double(b, 3, h.Sum)
	b = varint(b, 4, protowire.EncodeZigZag(int64(h.Schema)))
	b = double(b, 5, h.ZeroThreshold)
	b = varint(b, 6, h.ZeroCount)
	for _, span := range h.PositiveSpans {
		b = field(b, 11, varint(varint(nil, 1, protowire.EncodeZigZag(int64(span.Offset))), 2, uint64(span.Length)))
	}
	var deltas []byte
	for _, d := range h.PositiveBuckets {
		deltas = protowire.AppendVarint(deltas, protowire.EncodeZigZag(d))
	}
	b = field(b, 12, deltas)
	return field(out, 4, varint(b, 15, uint64(ms)))
}

func field(b []byte, n protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), v)
}

func varint(b []byte, n protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
}

func double(b []byte, n protowire.Number, v float64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(b, n, protowire.Fixed64Type), math.Float64bits(v))
}

var indicators = map[string]guardian.Indicator{
	"latency":       {Latency: &guardian.SpanIndicator{}},
	"one operation": {Latency: &guardian.SpanIndicator{Operation: "late"}},
	"error rate":    {ErrorRate: &guardian.SpanIndicator{}},
	"throughput":    {Throughput: &guardian.SpanIndicator{}},
	"an expression": {PromQL: "max(" + telemetry.MetricCalls + ") / sum(histogram_count(" + telemetry.MetricDuration + "))"},
	"a scalar":      {PromQL: "1/3"},
	"nothing":       {PromQL: "missing"},
	"several":       {PromQL: telemetry.MetricCalls},
}

// sameAnswers reads every kind of indicator from both, in windows that begin
// and end between scrapes, and on them, and around what happens in the story.
func sameAnswers(t *testing.T, embedded, remote Source, start time.Time, indicators map[string]guardian.Indicator) {
	t.Helper()
	windows := map[string][2]time.Duration{
		"all": {0, 10 * time.Minute}, "between": {61 * time.Second, 119500 * time.Millisecond},
		"on scrapes": {64 * time.Second, 124 * time.Second}, "restart": {230 * time.Second, 250 * time.Second},
		"the end of b": {6 * time.Minute, 8 * time.Minute}, "c comes": {290 * time.Second, 333333 * time.Millisecond},
		"before": {-3 * time.Minute, -time.Minute},
	}
	_, calls := story(start)
	for _, scraped := range []bool{true, false} {
		for window, w := range windows {
			for name, in := range indicators {
				t.Run(fmt.Sprint(name, "/", window, "/", scraped), func(t *testing.T) {
					r := guardian.Reading{Indicator: in, Target: entity.Ref{Service: "checkout"},
						Window: guardian.Window{From: start.Add(w[0]), To: start.Add(w[1])}}
					want, got := sampleOf(t, embedded, scraped, r), sampleOf(t, remote, scraped, r)
					if (want.Err != "") != (name == "several" && len(want.Slices) == 0 && window != "before") {
						t.Fatalf("embedded: %s", want.Err)
					}
					if (want.Err == "") != (got.Err == "") {
						t.Fatalf("embedded %q, remote %q", want.Err, got.Err)
					}
					want.Err, got.Err = "", ""
					if d := cmp.Diff(want, got, cmp.Comparer(sameNumber), cmp.Comparer(sameValue)); d != "" {
						t.Error(d)
					}
					if _, n := sums(got); scraped && window == "all" && in.Throughput != nil && n != calls {
						t.Errorf("counted %v of %v calls", n, calls)
					}
				})
			}
		}
	}
}

func sampleOf(t *testing.T, from Source, scraped bool, r guardian.Reading) judge.Sample {
	t.Helper()
	s, err := NewSampler(SamplerConfig{Source: from, Resolution: scrapeInterval, Scraped: scraped})
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := s.Sample(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// sameNumber lets two versions of PromQL round sums and quantiles differently.
// Counts are whole numbers, and there it lets nothing pass.
func sameNumber(a, b float64) bool {
	return a == b || math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) <= 1e-9*math.Abs(a)
}

func sameValue(a, b judge.Number) bool { return sameNumber(float64(a), float64(b)) }
