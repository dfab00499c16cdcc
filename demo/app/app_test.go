package app

import (
	"bytes"
	"context"
	"io"
	"math"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// output is written by the service and read by the test.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func TestABuildFailsAsOftenAsItSays(t *testing.T) {
	t.Setenv("FAILURES", "0.5")
	t.Setenv("RELEASE", "7")
	ctx, cancel := context.WithCancel(t.Context())
	var log output
	done := make(chan error, 1)
	go func() { done <- Main(ctx, []string{"-latency", "1us"}, &log) }()
	var url string
	for deadline := time.Now().Add(10 * time.Second); url == ""; time.Sleep(time.Millisecond) {
		url = regexp.MustCompile(`http://\S+`).FindString(log.String())
		if time.Now().After(deadline) {
			t.Fatal("it does not start: " + log.String())
		}
	}
	failed, n := 0, 400
	for range n {
		res, err := http.Get(url + "/order")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		switch {
		case res.StatusCode == 500 && strings.Contains(string(body), "half done"):
			failed++
		case res.StatusCode != 200 || res.Header.Get("X-Release") != "7":
			t.Fatalf("%s, release %q: %s", res.Status, res.Header.Get("X-Release"), body)
		}
	}
	if share := float64(failed) / float64(n); math.Abs(share-0.5) > 0.125 { // five standard errors
		t.Errorf("%.2f of the requests failed", share)
	}
	if res, err := http.Get(url + "/healthz"); err != nil || res.StatusCode != 200 {
		t.Error(res, err)
	} else {
		res.Body.Close()
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWrongSettingsAreRefused(t *testing.T) {
	t.Setenv("FAILURES", "often")
	if err := Main(t.Context(), nil, io.Discard); err == nil || !strings.Contains(err.Error(), `FAILURES="often"`) {
		t.Errorf("got %v", err)
	}
}
