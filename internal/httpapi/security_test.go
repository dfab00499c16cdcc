package httpapi

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestGuard(t *testing.T) {
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	for name, c := range map[string]struct {
		guard   Guard
		method  string
		host    string
		path    string
		headers map[string]string
		want    int
	}{
		"loopback address":                 {Guard{}, "GET", "127.0.0.1:7070", "/v1/status", nil, 204},
		"localhost":                        {Guard{}, "GET", "localhost:7070", "/v1/status", nil, 204},
		"IPv6":                             {Guard{}, "GET", "[::1]:7070", "/v1/status", nil, 204},
		"rebound name":                     {Guard{}, "GET", "evil.example:7070", "/v1/status", nil, 421},
		"allowed name":                     {Guard{Hosts: []string{"tidegate.example"}}, "GET", "Tidegate.example", "/", nil, 204},
		"no token":                         {Guard{Tokens: []string{"s3cret"}}, "GET", "127.0.0.1", "/v1/status", nil, 401},
		"wrong token":                      {Guard{Tokens: []string{"s3cret"}}, "GET", "127.0.0.1", "/v1/status", map[string]string{"Authorization": "Bearer s3cre"}, 401},
		"bearer":                           {Guard{Tokens: []string{"a", "s3cret"}}, "GET", "127.0.0.1", "/v1/status", map[string]string{"Authorization": "Bearer s3cret"}, 204},
		"as Dynatrace's clients send it":   {Guard{Tokens: []string{"s3cret"}}, "POST", "x", "/api/v2/events/ingest", map[string]string{"Authorization": "Api-Token s3cret"}, 204},
		"as a browser asks a person":       {Guard{Tokens: []string{"s3cret"}}, "GET", "x", "/", map[string]string{"Authorization": "Basic YTpzM2NyZXQ="}, 204},
		"another scheme":                   {Guard{Tokens: []string{"s3cret"}}, "GET", "x", "/", map[string]string{"Authorization": "Digest s3cret"}, 401},
		"health needs none":                {Guard{Tokens: []string{"s3cret"}}, "GET", "x", "/healthz", nil, 204},
		"a signed webhook":                 {Guard{Tokens: []string{"s3cret"}, Foreign: []string{"/webhooks/github"}}, "POST", "x", "/webhooks/github", nil, 204},
		"a foreign page cannot change":     {Guard{}, "POST", "127.0.0.1:7070", "/v1/events", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		"a foreign origin cannot change":   {Guard{}, "POST", "127.0.0.1:7070", "/v1/events", map[string]string{"Origin": "http://evil.example"}, 403},
		"our own page can":                 {Guard{}, "POST", "127.0.0.1:7070", "/v1/events", map[string]string{"Sec-Fetch-Site": "same-origin"}, 204},
		"a program, which sends no origin": {Guard{}, "POST", "127.0.0.1:7070", "/v1/events", nil, 204},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, c.path, nil)
			r.Host = c.host
			for k, v := range c.headers {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			c.guard.Wrap(ok).ServeHTTP(w, r)
			if w.Code != c.want {
				t.Errorf("%d %s, want %d", w.Code, w.Body, c.want)
			}
		})
	}
}
