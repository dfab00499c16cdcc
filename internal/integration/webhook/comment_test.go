package webhook

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/notify"
	"github.com/tidegate-io/tidegate/workflow"
)

// What is said about a problem of Dynatrace's goes there as its API has it
// (Problem API v1, comments), once for each key.
func TestComment(t *testing.T) {
	type got struct{ method, path, token, body string }
	var requests []got
	environment := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests = append(requests, got{r.Method, r.URL.EscapedPath(), r.Header.Get("Authorization"), string(body)})
	}))
	defer environment.Close()
	b := newBench(t, notify.Channel{Name: "dynatrace", Dynatrace: &notify.Dynatrace{URL: environment.URL + "/", Token: &notify.Secret{Env: "HOOK_SECRET"}}})
	for _, c := range []Comment{
		{Key: "k1", System: "dynatrace", Problem: "-77/V2", Who: "tidegate", Text: "done: set flag f back to off"},
		{Key: "k1", System: "dynatrace", Problem: "-77/V2", Who: "tidegate", Text: "done: set flag f back to off"},
		{Key: "k2", System: "pagerduty", Problem: "1", Who: "tidegate", Text: "not there"},
	} {
		if err := b.Comment(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Sender.Notify(t.Context(), workflow.Notification{Key: "n", Channel: "dynatrace", Message: "m"}); !fault.Is(err, fault.KindInvalid) {
		t.Errorf("a notification to Dynatrace: %v, want it refused", err)
	}
	if _, err := b.deliverDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(requests) != 1 {
		t.Fatalf("%d requests, want one: %+v", len(requests), requests)
	}
	r := requests[0]
	if r.method != "POST" || r.path != "/api/v1/problem/details/-77%2FV2/comments" || r.token != "Api-Token top-secret" {
		t.Errorf("request is %+v", r)
	}
	var body map[string]string
	if err := json.Unmarshal([]byte(r.body), &body); err != nil || body["comment"] != "done: set flag f back to off" || body["user"] != "tidegate" || body["context"] != "Tidegate" {
		t.Errorf("body is %s (%v)", r.body, err)
	}
}

func TestDynatraceChannel(t *testing.T) {
	token := &notify.Secret{Env: "DT_TOKEN"}
	for name, c := range map[string]struct {
		channel notify.Channel
		good    bool
	}{
		"right":           {notify.Channel{Name: "d", Dynatrace: &notify.Dynatrace{URL: "https://x.live.dynatrace.com", Token: token}}, true},
		"without a token": {notify.Channel{Name: "d", Dynatrace: &notify.Dynatrace{URL: "https://x.live.dynatrace.com"}}, false},
		"no URL":          {notify.Channel{Name: "d", Dynatrace: &notify.Dynatrace{URL: "x", Token: token}}, false},
		"with events":     {notify.Channel{Name: "d", Events: []string{"*"}, Dynatrace: &notify.Dynatrace{URL: "https://x.live.dynatrace.com", Token: token}}, false},
		"two transports":  {notify.Channel{Name: "d", Webhook: &notify.Webhook{URL: "https://x"}, Dynatrace: &notify.Dynatrace{URL: "https://x", Token: token}}, false},
	} {
		if err := c.channel.Validate(); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}
