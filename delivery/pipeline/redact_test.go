package pipeline

import (
	"strings"
	"testing"

	"github.com/tidegate-io/tidegate/delivery/deploy"
)

func TestRedacted(t *testing.T) {
	secret := "hunter2"
	p := Pipeline{
		Source: &Source{Git: &GitSource{Repository: "https://x:" + secret + "@example.com/r.git"}},
		Apps:   map[string]deploy.App{"shop": {Env: map[string]string{"DB_PASSWORD": secret, "LEVEL": "debug"}}},
		Stages: []Stage{{Name: "s", Actions: []Action{
			{Deploy: &Deploy{Settings: deploy.App{Env: map[string]string{"API_KEY": secret}}}},
			{Command: &Command{Env: map[string]string{"TOKEN": secret}}},
			{Webhook: &Webhook{URL: "https://example.com/hook?key=" + secret, Headers: map[string]string{"Authorization": secret}}},
		}}},
	}
	d := &Deployment{Settings: deploy.App{Env: map[string]string{"TOKEN": secret}}}
	r := Release{Definition: p, Stages: []StageRun{{Name: "s", Actions: []ActionRun{{Deployment: d}}}}}
	shown := string(encode(r.Redacted()))
	if strings.Contains(shown, secret) {
		t.Errorf("shows a secret: %s", shown)
	}
	if !strings.Contains(shown, "debug") {
		t.Error("hides what is no secret")
	}
	if kept := string(encode(r)); strings.Count(kept, secret) != 7 {
		t.Errorf("the original has changed: %s", kept)
	}
}
