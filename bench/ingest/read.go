package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/internal/tracestore"
)

// client asks Tidegate's API.
type client struct{ base string }

func (c *client) get(ctx context.Context, path string, query url.Values, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s: %s", path, res.Status, raw)
	}
	return json.Unmarshal(raw, into)
}

type trace struct {
	Spans []json.RawMessage `json:"spans"`
}

func (c *client) trace(ctx context.Context, id [16]byte) (trace, error) {
	var t trace
	return t, c.get(ctx, "/v1/traces/"+hex.EncodeToString(id[:]), nil, &t)
}

// counted returns how many spans the metrics store knows of, in series that
// match.
func (c *client) counted(ctx context.Context, matchers string) (float64, error) {
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	q := url.Values{"query": {"sum(traces_span_metrics_calls_total{" + matchers + "})"}}
	if err := c.get(ctx, "/api/v1/query", q, &answer); err != nil || len(answer.Data.Result) == 0 {
		return 0, err
	}
	var v float64
	_, err := fmt.Sscan(fmt.Sprint(answer.Data.Result[0].Value[1]), &v)
	return v, err
}

// reads measures what people wait for, through the API.
func (b *bench) reads(ctx context.Context, api *client, ids [][16]byte) error {
	i := 0
	if err := b.latencies("trace by id", func() error {
		i++
		_, err := api.trace(ctx, ids[i%len(ids)])
		return err
	}); err != nil {
		return err
	}
	for _, s := range []struct {
		what  string
		query url.Values
	}{
		{"20 failed traces of a service", url.Values{"service": {"payment"}, "status": {"error"}}},
		{"20 newest traces", url.Values{}},
		{"20 slow traces of an operation", url.Values{"service": {"checkout"}, "operation": {"checkout/Operation1"}, "minDuration": {"150ms"}}},
		{"traces by attribute", url.Values{"attr": {"app.user.id=user-000017"}}},
	} {
		if err := b.latencies(s.what, func() error {
			var answer struct{ Traces []json.RawMessage }
			return api.get(ctx, "/v1/traces", s.query, &answer)
		}); err != nil {
			return err
		}
	}
	return nil
}

// latencies does the same for a while and notes the median and the 95th
// percentile.
func (b *bench) latencies(what string, do func() error) error {
	var took []time.Duration
	before, err := b.cpu()
	if err != nil {
		return err
	}
	enough := 200
	if b.short {
		enough = 20
	}
	begin := time.Now()
	for len(took) < enough && (len(took) < 5 || time.Since(begin) < 5*time.Second) {
		start := time.Now()
		if err := do(); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		took = append(took, time.Since(start))
	}
	after, err := b.cpu()
	if err != nil {
		return err
	}
	slices.Sort(took)
	ms := func(q float64) float64 { return float64(took[int(q*float64(len(took)-1))].Microseconds()) / 1000 }
	b.report.note("tidegate "+what+" p50 ms", ms(0.5))
	b.report.note("tidegate "+what+" p95 ms", ms(0.95))
	b.report.note("tidegate "+what+" CPU ms each", (after-before)*1000/float64(len(took)))
	return nil
}

// reencode lets the trace store do at once what it does in the background when
// data has aged, and notes the cost and the result.
func (b *bench) reencode(ctx context.Context, dir string, spans int) error {
	clock := func() time.Time { return time.Now().Add(3 * time.Hour) } // everything is old
	store, err := tracestore.Open(tracestore.Config{Dir: filepath.Join(dir, "data", "traces"), Clock: clock, SegmentAge: time.Millisecond, ReencodeShare: 1})
	if err != nil {
		return err
	}
	defer store.Close()
	b.cpu = func() (float64, error) { return ownCPU(), nil }
	if err := b.latencies("failures grouped over 10 minutes (in process)", func() error {
		groups, err := store.Failures(ctx, entity.Ref{}, time.Now().Add(-10*time.Minute), time.Now())
		n := 0
		for _, g := range groups {
			n += g.Count
		}
		if err == nil && float64(n) != b.failed {
			err = fmt.Errorf("%d failed spans in groups, %.0f were counted", n, b.failed)
		}
		return err
	}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	before := ownCPU()
	go func() { ended <- store.Run(ctx) }()
	err = poll(ctx, 5*time.Minute, "the segments to be re-encoded", func() error {
		if left := store.Waiting(); left > 0 {
			return fmt.Errorf("%d segments to go", left)
		}
		return nil
	})
	cancel()
	if runErr := <-ended; err == nil {
		err = runErr
	}
	if err != nil {
		return err
	}
	b.report.note("tidegate re-encoding CPU-s per million", (ownCPU()-before)/float64(spans)*1e6)
	return b.size(dir, "traces", spans, "B/span re-encoded")
}
