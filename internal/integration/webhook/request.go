package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/notify"
)

const (
	maxAnswer     = 1 << 10 // of the answer's body, for the error text
	maxRedirects  = 3
	maxRetryAfter = time.Hour
)

// failed says why an attempt failed and what to do next.
type failed struct {
	err   error
	final bool
	after time.Duration // the receiver asked for this pause
}

func (f *failed) Error() string { return f.err.Error() }

func retry(format string, args ...any) *failed { return &failed{err: fmt.Errorf(format, args...)} }
func giveUp(format string, args ...any) *failed {
	return &failed{err: fmt.Errorf(format, args...), final: true}
}

// attempt sends the message once.
func (s *Sender) attempt(ctx context.Context, d *notify.Delivery) *failed {
	c, err := s.channel(d.Channel)
	if err != nil {
		return giveUp("%w", err)
	}
	var address string
	switch comment := d.Path != ""; {
	case comment != (c.Dynatrace != nil):
		return giveUp("channel %q is of another kind than the message", d.Channel)
	case comment:
		address = strings.TrimRight(c.Dynatrace.URL, "/")
	default:
		address = c.Webhook.URL
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address+d.Path, bytes.NewReader(d.Body))
	if err != nil {
		return giveUp("the channel's URL cannot be used")
	}
	if failure := s.header(req, &c, d); failure != nil {
		return failure
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return retry("%w", withoutURL(err))
	}
	defer resp.Body.Close()
	return judge(resp, s.cfg.Clock())
}

// header says who sends what, and proves it.
func (s *Sender) header(req *http.Request, c *notify.Channel, d *notify.Delivery) *failed {
	if c.Webhook != nil {
		for name, value := range c.Webhook.Headers {
			req.Header.Set(name, value)
		}
	}
	req.Header.Set("Content-Type", d.ContentType)
	req.Header.Set("User-Agent", "tidegate")
	if c.Dynatrace != nil {
		token, err := c.Dynatrace.Token.Key(s.cfg.Env)
		if err != nil {
			return retry("token: %w", err)
		}
		req.Header.Set("Authorization", "Api-Token "+string(token))
		return nil
	}
	stamp := strconv.FormatInt(s.cfg.Clock().Unix(), 10)
	req.Header.Set("Idempotency-Key", d.ID)
	req.Header.Set("Webhook-Id", d.ID)
	req.Header.Set("Webhook-Timestamp", stamp)
	if c.Webhook.Secret != nil {
		key, err := c.Webhook.Secret.Key(s.cfg.Env)
		if err != nil {
			return retry("secret: %w", err)
		}
		req.Header.Set("Webhook-Signature", notify.Sign(key, d.ID, stamp, d.Body))
	}
	return nil
}

// judge turns an answer into an outcome.
func judge(resp *http.Response, now time.Time) *failed {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // only for the error text
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return nil
	}
	text := strings.TrimSpace(strings.ToValidUTF8(string(body), "\uFFFD"))
	f := retry("answer %d %s: %.200s", resp.StatusCode, http.StatusText(resp.StatusCode), text)
	switch code := resp.StatusCode; {
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests, code >= 500:
		f.after = retryAfter(resp.Header.Get("Retry-After"), now)
	default:
		f.final = true
	}
	return f
}

// retryAfter reads seconds or a date (RFC 9110, 10.2.3), at most an hour.
func retryAfter(value string, now time.Time) time.Duration {
	var d time.Duration
	if n, err := strconv.Atoi(value); err == nil {
		d = time.Duration(min(n, int(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}

// sameHost follows only redirects that repeat the POST at the same place: a
// signed message must not be handed to somebody else.
func sameHost(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	if len(via) > maxRedirects || req.Method != http.MethodPost || req.URL.Host != first.Host || req.URL.Scheme != first.Scheme {
		return http.ErrUseLastResponse // judged as the 3xx it is: final
	}
	return nil
}

// withoutURL drops the URL, which may hold a token, from a client's error.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
