package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/fault"
)

// client talks to a server's native API.
type client struct {
	base  string
	token string
	http  http.Client
}

func newClient(base, token string) (*client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fault.Invalid("--server %q is not a URL: expected for example http://127.0.0.1:7070", base)
	}
	// The server answers a request that waits after ten minutes at the latest.
	return &client{base: strings.TrimSuffix(base, "/"), token: token, http: http.Client{Timeout: 11 * time.Minute}}, nil
}

// problemDetails is an error answer (RFC 9457).
type problemDetails struct {
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Errors []struct {
		Location string `json:"location"`
		Message  string `json:"message"`
	} `json:"errors"`
}

// do sends in (JSON, or bytes as they are) and decodes the answer into out,
// which may be nil or a *[]byte.
func (c *client) do(ctx context.Context, method, path string, in, out any) error {
	return c.keyed(ctx, method, path, "", in, out)
}

// keyed is do with an idempotency key, unless that is empty. An io.Reader is
// sent as it is.
func (c *client) keyed(ctx context.Context, method, path, key string, in, out any) error {
	var reqBody io.Reader
	contentType := "application/json"
	switch v := in.(type) {
	case nil:
	case io.Reader:
		reqBody, contentType = v, "application/octet-stream"
	case []byte:
		reqBody, contentType = bytes.NewReader(v), "application/yaml"
	default:
		raw, err := json.Marshal(v)
		if err != nil {
			return err
		}
		reqBody = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, reqBody)
	if err != nil {
		return err
	}
	if reqBody != nil {
		req.Header.Set("Content-Type", contentType)
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return noAnswer(ctx, c.base, err)
	}
	defer res.Body.Close()
	if res.StatusCode >= 400 {
		return answerError(res)
	}
	if raw, ok := out.(*[]byte); ok {
		*raw, err = io.ReadAll(res.Body)
		return err
	}
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		return fmt.Errorf("answer of %s %s: %w", method, path, err)
	}
	return nil
}

// noAnswer says why there was none, and what to do about it.
func noAnswer(ctx context.Context, base string, err error) error {
	if ctx.Err() != nil {
		return fault.Unavailable("interrupted")
	}
	var why *url.Error // method and URL are known already
	if errors.As(err, &why) {
		err = why.Err
	}
	return fault.Unavailable("no answer from %s (%v)\n  is the server running (tidegate serve)? is it elsewhere (--server or TIDEGATE_SERVER)?", base, err)
}

func answerError(res *http.Response) error {
	raw, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	var p problemDetails
	if json.Unmarshal(raw, &p) != nil || p.Detail == "" {
		p.Detail = strings.TrimSpace(string(raw))
	}
	text := p.Detail
	for _, e := range p.Errors {
		line := e.Message
		if e.Location != "" {
			line = e.Location + ": " + line
		}
		if line != p.Detail {
			text += "\n  " + line
		}
	}
	switch {
	case res.StatusCode == http.StatusUnauthorized:
		return fault.Denied("%s (set TIDEGATE_TOKEN, or use --token-file)", text)
	case res.StatusCode == http.StatusNotFound:
		return fault.NotFound("%s", text)
	case res.StatusCode == http.StatusConflict:
		return fault.Conflict("%s", text)
	case res.StatusCode < 500:
		return fault.Invalid("%s", text)
	case res.StatusCode == http.StatusServiceUnavailable:
		return fault.Unavailable("%s", text)
	}
	return fault.Internal("server: %s", text)
}

// get is do for reading.
func get[T any](ctx context.Context, c *client, path string, query url.Values) (T, error) {
	var out T
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	err := c.do(ctx, http.MethodGet, path, nil, &out)
	return out, err
}

// post is do for changing.
func post[T any](ctx context.Context, c *client, path string, in any) (T, error) {
	var out T
	err := c.do(ctx, http.MethodPost, path, in, &out)
	return out, err
}

// whoAmI is the name that audits show when --who is not given.
func whoAmI() string {
	for _, name := range []string{"TIDEGATE_WHO", "USER", "LOGNAME", "USERNAME"} {
		if v := os.Getenv(name); v != "" {
			return v
		}
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}

// unknown says where the names are listed, when a name is not known.
func unknown(err error, list string) error {
	if fault.Is(err, fault.KindNotFound) {
		return fmt.Errorf("%w: see %s", err, list)
	}
	return err
}
