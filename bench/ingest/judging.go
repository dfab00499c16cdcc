package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// objectives of the guardian that is judged: ten, of which none fails, so that
// judging is measured and not the gathering of evidence.
func guardianManifest() string {
	var b strings.Builder
	b.WriteString(`apiVersion: tidegate.dev/v1
kind: Guardian
metadata: {name: bench}
spec:
  target: {service: payment, environment: production}
  settle: 1s
  objectives:
    - {name: errors, indicator: {errorRate: {}}, fail: "> 99%"}
    - {name: traffic, indicator: {throughput: {}}, fail: "< 0.001"}
`)
	for _, q := range []string{"0.5", "0.9", "0.95", "0.99"} {
		fmt.Fprintf(&b, "    - {name: p%s, indicator: {latency: {quantile: %s}}, fail: \"> 10s\"}\n", q, q)
	}
	for n := range 4 {
		fmt.Fprintf(&b, "    - {name: operation %d, indicator: {latency: {operation: payment/Operation%d, quantile: 0.95}}, fail: \"> 10s\"}\n", n, n)
	}
	return b.String()
}

// judging measures validations of ten minutes by ten objectives while spans
// come in as fast as they are taken. It returns the number of passes sent.
func (b *bench) judging(ctx context.Context, p *process, api *client, pl *pool, pass int) (int, error) {
	if err := api.post(ctx, "/v1/manifests", "application/yaml", []byte(guardianManifest()), nil); err != nil {
		return 0, err
	}
	to, err := b.dial(p)
	if err != nil {
		return 0, err
	}
	defer to.close()
	select { // until what was sent so far is in the window: an empty one is no pass
	case <-time.After(behind + 2*time.Second):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	l := &load{pool: pl, to: to, senders: b.senders}
	const looks = 10
	verdicts := make(chan error, 1)
	judged := make(chan struct{})
	go func() {
		defer close(judged)
		verdicts <- b.judge(ctx, api, looks)
	}()
	sent := 0
	for {
		if _, _, err := l.run(ctx, pass+sent, pass+sent+1); err != nil {
			return sent, err
		}
		sent++
		select {
		case <-judged:
			return sent, <-verdicts
		default:
		}
	}
}

// behind is how long before now the judged windows end: what they hold has
// settled.
const behind = 10 * time.Second

func (b *bench) judge(ctx context.Context, api *client, looks int) error {
	for range looks {
		to := time.Now().Add(-behind)
		in, err := json.Marshal(map[string]any{"from": to.Add(-10 * time.Minute), "to": to, "wait": true})
		if err != nil {
			return err
		}
		var v struct {
			Status            string
			Started, Finished time.Time
		}
		if err := api.post(ctx, "/v1/guardians/bench/validations", "application/json", in, &v); err != nil {
			return err
		}
		if v.Status != "pass" {
			return fmt.Errorf("the guardian says %q, not pass", v.Status)
		}
		b.report.note("tidegate judging 10 objectives at full speed ms", float64(v.Finished.Sub(v.Started).Microseconds())/1000)
	}
	return nil
}

func (c *client) post(ctx context.Context, path, contentType string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", contentType)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("POST %s: %s: %s", path, res.Status, raw)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(raw, into)
}
