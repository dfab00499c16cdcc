package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/healing"
)

// fakeHealing says what it was asked.
type fakeHealing struct {
	Healing
	asked string
}

func (f *fakeHealing) StopAll(_ context.Context, who, reason string) (healing.Stop, error) {
	f.asked = fmt.Sprintf("stop %s %s", who, reason)
	return healing.Stop{Stopped: true, Who: who, Reason: reason}, nil
}

func (f *fakeHealing) Action(_ context.Context, id string) (healing.Action, error) {
	if id != "a1" {
		return healing.Action{}, fault.NotFound("no healing action %q", id)
	}
	return healing.Action{ID: id, State: healing.StateEnded, Outcome: healing.OutcomeHealed}, nil
}

func (f *fakeHealing) Actions(_ context.Context, problem string, limit int) ([]healing.Action, error) {
	f.asked = fmt.Sprintf("actions %s %d", problem, limit)
	return nil, nil
}

func (f *fakeHealing) Audit(context.Context, string, string, int) ([]healing.Entry, error) {
	return []healing.Entry{{Seq: 2, What: "healed"}, {Seq: 1, What: "decided"}}, nil
}

func (f *fakeHealing) Approve(_ context.Context, id, who, reason string) (healing.Action, error) {
	f.asked = fmt.Sprintf("approve %s %s %s", id, who, reason)
	return healing.Action{}, fault.Conflict("action %s is over", id)
}

func (f *fakeHealing) Remediate(_ context.Context, problem string, h healing.ByHand) (healing.Action, error) {
	f.asked = fmt.Sprintf("remediate %s %+v", problem, h)
	if !h.Override {
		return healing.Action{}, fault.Conflict("the problem is over (override is possible)")
	}
	return healing.Action{ID: "a1"}, nil
}

func TestHealingAPI(t *testing.T) {
	f := &fakeHealing{}
	cfg := Config{Healing: f}
	for _, c := range []struct {
		method, path, body string
		code               int
		asked              string
		answer             string
	}{
		{"POST", "/v1/healing/stop", `{"who":"kim","reason":"maintenance"}`, 200, "stop kim maintenance", `"stopped":true`},
		{"POST", "/v1/healing/stop", `{"who":"kim"}`, 422, "", "reason"},
		{"GET", "/v1/healing/actions?problem=p1&limit=7", "", 200, "actions p1 7", `"actions":[]`},
		{"GET", "/v1/healing/actions?limit=9999", "", 422, "", "limit"},
		{"GET", "/v1/healing/actions/a1", "", 200, "", `"audit":[{"seq":1,`},
		{"GET", "/v1/healing/actions/a9", "", 404, "", "no healing action"},
		{"POST", "/v1/healing/actions/a1/approve", `{"who":"kim","reason":"go"}`, 409, "approve a1 kim go", "is over"},
		{"POST", "/v1/problems/p1/remediate", `{"action":"undo","who":"kim","reason":"now"}`, 409, "remediate p1 {Action:undo Who:kim Reason:now Override:false}", "override is possible"},
		{"POST", "/v1/problems/p1/remediate", `{"action":"undo","who":"kim","reason":"now","override":true}`, 202, "remediate p1 {Action:undo Who:kim Reason:now Override:true}", `"id":"a1"`},
	} {
		f.asked = ""
		code, answer := request[json.RawMessage](t, cfg, c.method, c.path, c.body)
		text := string(answer)
		if code != c.code || f.asked != c.asked || !strings.Contains(text, c.answer) {
			t.Errorf("%s %s: %d %s, asked %q; want %d …%s…, asked %q", c.method, c.path, code, text, f.asked, c.code, c.answer, c.asked)
		}
	}
}
