package notify

import (
	"testing"

	"github.com/tidegate-io/tidegate/fault"
)

func TestWants(t *testing.T) {
	c := Channel{Events: []string{"validation.*", "flag.changed"}}
	for eventType, want := range map[string]bool{
		"validation.finished": true, "validation.started": true, "flag.changed": true,
		"flag.other": false, "xvalidation.finished": false, "": false,
	} {
		if c.Wants(eventType) != want {
			t.Errorf("Wants(%q) is %v", eventType, !want)
		}
	}
}

func TestValidate(t *testing.T) {
	good := []Channel{
		{Webhook: &Webhook{URL: "https://hooks.example/x?y=1"}, Events: []string{"*"}},
		{Webhook: &Webhook{URL: "http://127.0.0.1:1", Secret: &Secret{Env: "S"}, Headers: map[string]string{"Authorization": "Bearer x"}}},
	}
	for _, c := range good {
		if err := c.Validate(); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for name, c := range map[string]Channel{
		"no transport":        {},
		"no scheme":           {Webhook: &Webhook{URL: "hooks.example"}},
		"file":                {Webhook: &Webhook{URL: "file:///etc/passwd"}},
		"password":            {Webhook: &Webhook{URL: "https://a:b@hooks.example"}},
		"empty secret":        {Webhook: &Webhook{URL: "https://x", Secret: &Secret{}}},
		"two secrets":         {Webhook: &Webhook{URL: "https://x", Secret: &Secret{Env: "A", File: "b"}}},
		"header injection":    {Webhook: &Webhook{URL: "https://x", Headers: map[string]string{"A": "b\r\nC: d"}}},
		"bad header name":     {Webhook: &Webhook{URL: "https://x", Headers: map[string]string{"A b": "c"}}},
		"forged signature":    {Webhook: &Webhook{URL: "https://x", Headers: map[string]string{"Webhook-Signature": "c"}}},
		"bad event pattern":   {Webhook: &Webhook{URL: "https://x"}, Events: []string{"["}},
		"empty event pattern": {Webhook: &Webhook{URL: "https://x"}, Events: []string{""}},
	} {
		if err := c.Validate(); !fault.Is(err, fault.KindInvalid) {
			t.Errorf("%s: %v, want a fault of kind invalid", name, err)
		}
	}
}
