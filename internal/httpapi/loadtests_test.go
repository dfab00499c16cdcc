package httpapi

import (
	"context"
	"testing"

	"github.com/tidegate-io/tidegate/loadtest"
)

type fakeLoadTests struct {
	LoadTests
	who, reason string
}

func (f *fakeLoadTests) Cancel(_ context.Context, id, who, reason string) (loadtest.Run, error) {
	f.who, f.reason = who, reason
	return loadtest.Run{ID: id}, nil
}

// TestCancelLoadTest: who and why are passed on; a stop without a word is one.
func TestCancelLoadTest(t *testing.T) {
	for body, want := range map[string][2]string{
		"":                                 {"", ""},
		"{}":                               {"", ""},
		`{"who":"ann","reason":"too hot"}`: {"ann", "too hot"},
	} {
		tests := &fakeLoadTests{}
		code, run := request[loadtest.Run](t, Config{LoadTests: tests}, "POST", "/v1/loadtest-runs/r1/cancel", body)
		if code != 200 || run.ID != "r1" || tests.who != want[0] || tests.reason != want[1] {
			t.Errorf("%q: %d %+v, told %q %q", body, code, run, tests.who, tests.reason)
		}
	}
}

func (f *fakeLoadTests) Tests(context.Context) ([]loadtest.Test, error) {
	return []loadtest.Test{{Name: "t", Request: &loadtest.Request{Headers: map[string]string{"Authorization": "Bearer hunter2"}}}}, nil
}

func (f *fakeLoadTests) Runs(context.Context, string, int) ([]loadtest.Run, error) { return nil, nil }

// TestLoadTestsShowNoSecrets: manifests take them from the environment.
func TestLoadTestsShowNoSecrets(t *testing.T) {
	_, list := request[LoadTestList](t, Config{LoadTests: &fakeLoadTests{}}, "GET", "/v1/loadtests", "")
	if len(list.Tests) != 1 || list.Tests[0].Test.Request.Headers["Authorization"] != "***" {
		t.Errorf("got %+v", list.Tests)
	}
}
