package healrun

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/healing"
	"github.com/tidegate-io/tidegate/notify"
)

// Webhook calls an HTTP endpoint with the request as JSON and the action's key
// as Idempotency-Key: an endpoint that is called again with a key must not do
// the thing again. Requests are signed by Standard Webhooks when the definition
// names a secret. Only a 2xx is success; its JSON object is the answer. 408,
// 425, 429, 5xx and no answer are worth another try; redirects are not
// followed.
type Webhook struct {
	// Transport for tests; nil means the default.
	Transport http.RoundTripper
	// Env looks up environment variables; default os.LookupEnv.
	Env func(name string) (string, bool)
	// Clock; default time.Now.
	Clock func() time.Time
}

var _ healing.Actor = (*Webhook)(nil)

// Do implements healing.Actor.
func (w *Webhook) Do(ctx context.Context, r healing.Request) (healing.Answer, error) {
	if r.Webhook == nil {
		return healing.Answer{}, fault.Invalid("the action has no webhook")
	}
	body, err := json.Marshal(r)
	if err != nil {
		return healing.Answer{}, fault.Internal("request of %s: %w", r.Key, err)
	}
	ctx, cancel := context.WithTimeout(ctx, r.Webhook.Timeout)
	defer cancel()
	req, err := w.request(ctx, &r, body)
	if err != nil {
		return healing.Answer{}, err
	}
	client := http.Client{Transport: w.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		var of *url.Error // it holds the URL, which may hold a token
		if errors.As(err, &of) {
			err = of.Err
		}
		return healing.Answer{}, fault.Unavailable("%s does not answer: %w", req.URL.Host, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxOutput))
	switch code := res.StatusCode; {
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests, code >= 500:
		return healing.Answer{}, fault.Unavailable("%s answered %s: %s", req.URL.Host, res.Status, lastOf(string(text)))
	case code/100 != 2:
		return healing.Answer{}, fault.Invalid("%s answered %s: %s", req.URL.Host, res.Status, lastOf(string(text)))
	case err != nil:
		return healing.Answer{}, fault.Unavailable("%s: its answer broke off", req.URL.Host)
	}
	return answerOf(string(text)), nil
}

func (w *Webhook) request(ctx context.Context, r *healing.Request, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.Webhook.URL, bytes.NewReader(body))
	if err != nil {
		return nil, fault.Invalid("the webhook's URL cannot be used")
	}
	for name, value := range r.Webhook.Headers {
		req.Header.Set(name, value)
	}
	now := time.Now
	if w.Clock != nil {
		now = w.Clock
	}
	stamp := strconv.FormatInt(now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "tidegate")
	req.Header.Set("Idempotency-Key", r.Key)
	req.Header.Set("Webhook-Id", r.Key)
	req.Header.Set("Webhook-Timestamp", stamp)
	if r.Webhook.SecretEnv == "" && r.Webhook.SecretFile == "" {
		return req, nil
	}
	env := os.LookupEnv
	if w.Env != nil {
		env = w.Env
	}
	secret := notify.Secret{Env: r.Webhook.SecretEnv, File: r.Webhook.SecretFile}
	key, err := secret.Key(env)
	if err != nil {
		return nil, fault.Invalid("the webhook's secret: %w", err)
	}
	req.Header.Set("Webhook-Signature", notify.Sign(key, r.Key, stamp, body))
	return req, nil
}
