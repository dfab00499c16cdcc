package loadtest

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestRedacted(t *testing.T) {
	test := Test{
		Name: "acceptance",
		Request: &Request{URL: "http://shop", Headers: map[string]string{
			"Authorization": "Bearer hunter2", "X-Api-Key": "hunter2", "Cookie": "session=hunter2", "Accept": "text/html"}},
		Command: &Command{Args: []string{"k6"}, Env: map[string]string{"DB_PASSWORD": "hunter2", "API_TOKEN": "hunter2", "TARGET": "http://shop"}},
	}
	shown, err := json.Marshal(test.Redacted())
	if err != nil {
		t.Fatal(err)
	}
	if text := string(shown); strings.Contains(text, "hunter2") || !strings.Contains(text, "text/html") || !strings.Contains(text, `"TARGET":"http://shop"`) {
		t.Errorf("shown: %s", text)
	}
	if test.Request.Headers["Authorization"] != "Bearer hunter2" || test.Command.Env["API_TOKEN"] != "hunter2" {
		t.Error("the test itself was changed")
	}
}
