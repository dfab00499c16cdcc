package stage

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

// Customers send requests at a steady pace, whether or not earlier ones were
// answered, and remember every answer.
type Customers struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	answers []Answer
}

// Answer is what a customer got.
type Answer struct {
	Sent    time.Time
	Took    time.Duration
	Status  int // 0: none
	Release string
}

// Lost reports whether nobody answered: no answer at all, or only the one of
// a proxy that found nobody.
func (a Answer) Lost() bool {
	return a.Status == 0 || a.Status == http.StatusBadGateway || a.Status == http.StatusServiceUnavailable || a.Status == http.StatusGatewayTimeout
}

// Failed reports whether the application answered with a failure.
func (a Answer) Failed() bool { return a.Status >= http.StatusInternalServerError && !a.Lost() }

const customerPatience = 10 * time.Second

// SendCustomers has perSecond requests a second sent to url until Stop, each
// with the body.
func SendCustomers(ctx context.Context, url string, perSecond float64, body []byte) *Customers {
	ctx, cancel := context.WithCancel(ctx)
	c := &Customers{cancel: cancel, done: make(chan struct{})}
	client := &http.Client{Timeout: customerPatience, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	go func() {
		defer close(c.done)
		var wg sync.WaitGroup
		defer client.CloseIdleConnections()
		defer wg.Wait()
		tick := time.NewTicker(time.Duration(float64(time.Second) / perSecond))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				wg.Go(func() { c.ask(client, url, body) })
			}
		}
	}()
	return c
}

func (c *Customers) ask(client *http.Client, url string, body []byte) {
	a := Answer{Sent: time.Now()}
	if res, err := client.Post(url, "application/json", bytes.NewReader(body)); err == nil {
		if _, err := io.Copy(io.Discard, res.Body); err == nil {
			a.Status, a.Release = res.StatusCode, res.Header.Get("X-Release")
		}
		res.Body.Close()
	}
	a.Took = time.Since(a.Sent)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers = append(c.answers, a)
}

// Answers returns those to requests sent in [from, to).
func (c *Customers) Answers(from, to time.Time) []Answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Answer
	for _, a := range c.answers {
		if !a.Sent.Before(from) && a.Sent.Before(to) {
			out = append(out, a)
		}
	}
	return out
}

// Stop ends them, once all answers are there.
func (c *Customers) Stop() {
	c.cancel()
	<-c.done
}
