// Package webhook sends messages to HTTP endpoints: what workflows tell, and
// events that channels subscribe to, as CloudEvents 1.0 in structured JSON.
//
// Everything goes through the outbox: Notify and Publish return when the
// message is stored, Run delivers. Delivery is at least once, with the
// message's id as idempotency key; receivers that keep ids see each once.
//
// Requests follow the Standard Webhooks specification, for which libraries
// exist in most languages (https://www.standardwebhooks.com):
//
//	webhook-id: <message id, also sent as idempotency-key>
//	webhook-timestamp: <unix seconds of this attempt>
//	webhook-signature: v1,<base64 HMAC-SHA256 of "id.timestamp.body">
//
// The signature is there when the channel has a secret. Its key is the bytes
// of the secret, or the decoded rest when it begins with "whsec_".
//
// A 2xx answer is success. Answers 408, 425, 429 and 5xx, and failures of the
// network, are tried again with growing pauses for about a day; other answers
// are final. What is given up stays in the outbox as a dead letter with the
// last error. Redirects are followed only within the same scheme and host,
// and only those that keep the method.
package webhook

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/notify"
)

// Delivery settings.
const (
	defaultTimeout = 10 * time.Second
	pollInterval   = 2 * time.Second
	claimBatch     = 32
	concurrency    = 8
	maxAttempts    = 30
	firstPause     = time.Second
	maxPause       = time.Hour
)

// Config of a Sender. Outbox is required.
type Config struct {
	Outbox notify.Outbox
	// Source is the CloudEvents source of what is sent: the URL where people
	// reach this server; default "/tidegate".
	Source string
	// Reports, when set, renders the reports that notifications attach.
	Reports Reports
	// Timeout of one attempt; default 10 s.
	Timeout time.Duration
	// Transport for tests; nil means a transport of its own.
	Transport http.RoundTripper
	// Env looks up environment variables; default os.LookupEnv.
	Env func(name string) (string, bool)

	Clock  func() time.Time // default time.Now
	Logger *slog.Logger     // nil discards
}

// Reports renders a validation's report.
type Reports interface {
	// Report returns the document and its media type; format is "markdown".
	Report(ctx context.Context, validationID, format string) (doc []byte, mediaType string, err error)
}

// Sender stores and delivers messages. Safe for concurrent use, also by
// several processes on one outbox.
type Sender struct {
	cfg    Config
	client *http.Client
	wake   chan struct{}

	mu       sync.RWMutex
	channels map[string]notify.Channel
}

// New returns a Sender without channels.
func New(cfg Config) (*Sender, error) {
	if cfg.Outbox == nil {
		return nil, fault.Invalid("webhook: Config.Outbox is missing")
	}
	if cfg.Source == "" {
		cfg.Source = "/tidegate"
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Transport == nil {
		own := http.DefaultTransport.(*http.Transport).Clone()
		own.MaxResponseHeaderBytes = 64 << 10
		cfg.Transport = own
	}
	if cfg.Env == nil {
		cfg.Env = os.LookupEnv
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Sender{cfg: cfg, wake: make(chan struct{}, 1), channels: map[string]notify.Channel{},
		client: &http.Client{Transport: cfg.Transport, Timeout: cfg.Timeout, CheckRedirect: sameHost}}, nil
}

// Define replaces all channels, or none when one of them is invalid.
func (s *Sender) Define(channels []notify.Channel) error {
	defined := make(map[string]notify.Channel, len(channels))
	for _, c := range channels {
		if err := c.Validate(); err != nil {
			return err
		}
		defined[c.Name] = c
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.channels = defined
	return nil
}

func (s *Sender) channel(name string) (notify.Channel, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c, ok := s.channels[name]
	if !ok {
		return c, fault.NotFound("no notification channel %q", name)
	}
	return c, nil
}

// put stores a message; once it is stored it will be delivered.
func (s *Sender) put(ctx context.Context, m notify.Message) error {
	if _, err := s.cfg.Outbox.Put(ctx, m); err != nil {
		return err
	}
	select {
	case s.wake <- struct{}{}:
	default: // a signal is waiting already
	}
	return nil
}

// Run delivers until ctx ends, and returns when all its goroutines have
// ended. Attempts that ctx interrupts are made again by the next Run.
func (s *Sender) Run(ctx context.Context) error {
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	defer s.client.CloseIdleConnections()
	for {
		full, err := s.deliverDue(ctx)
		if err != nil && ctx.Err() == nil {
			s.cfg.Logger.ErrorContext(ctx, "cannot read the outbox", "error", err)
		}
		if full && err == nil && ctx.Err() == nil {
			continue // there may be more
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-poll.C:
		}
	}
}

// deliverDue makes one attempt for each message that is due.
func (s *Sender) deliverDue(ctx context.Context) (full bool, err error) {
	// The lease outlives the whole batch, so that nobody else sends it.
	lease := time.Duration(claimBatch/concurrency+1) * s.cfg.Timeout
	due, err := s.cfg.Outbox.Claim(ctx, s.cfg.Clock(), lease, claimBatch)
	if err != nil {
		return false, err
	}
	slots := make(chan struct{}, concurrency)
	var running sync.WaitGroup
	for _, d := range due {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			s.deliver(ctx, d)
		})
	}
	running.Wait()
	return len(due) == claimBatch, nil
}

// deliver makes one attempt and records its outcome.
func (s *Sender) deliver(ctx context.Context, d notify.Delivery) {
	failure := s.attempt(ctx, &d)
	if ctx.Err() != nil && failure != nil {
		return // shutting down: due again when the lease ends
	}
	d.Updated = s.cfg.Clock()
	switch {
	case failure == nil:
		d.State, d.Error = notify.StateDelivered, ""
	case failure.final || d.Attempts >= maxAttempts:
		d.State, d.Error = notify.StateDead, failure.Error()
		s.cfg.Logger.ErrorContext(ctx, "notification is given up", "message", d.ID, "channel", d.Channel, "attempts", d.Attempts, "error", failure)
	default:
		d.Error = failure.Error()
		d.Next = d.Updated.Add(max(pause(d.Attempts), failure.after))
	}
	// A delivery that ends with the process must still be recorded.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := s.cfg.Outbox.Resolve(ctx, d); err != nil {
		s.cfg.Logger.ErrorContext(ctx, "cannot record a delivery: it will be repeated", "message", d.ID, "error", err)
	}
}

// pause doubles with every attempt, up to an hour, and varies by a quarter so
// that many messages do not come back at once. Thirty attempts take a day.
func pause(attempts int) time.Duration {
	p := maxPause
	if attempts < 12 {
		p = min(p, firstPause<<max(attempts-1, 0))
	}
	return p - time.Duration(rand.Int64N(int64(p)/4+1))
}
