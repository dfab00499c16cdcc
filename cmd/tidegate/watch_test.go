package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/judge"
)

// One line for each look, however often it is asked for, and none for the
// verdict, which is shown otherwise.
func TestFollow(t *testing.T) {
	at := time.Now()
	answers := []guardian.Validation{
		{State: guardian.StatePending},
		{State: guardian.StateRunning, Headline: "Watching: first", Watch: &guardian.Watch{Courses: []guardian.WatchCourse{{Looks: []guardian.Look{{Time: at}}}}}},
		{State: guardian.StateFinished, Headline: "Go", Status: judge.StatusPass, Watch: &guardian.Watch{Courses: []guardian.WatchCourse{{Looks: []guardian.Look{{Time: at.Add(time.Second)}}}}}},
	}
	n := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/validations/v" {
			t.Errorf("asked for %s", r.URL)
		}
		v := answers[min((n+1)/2, len(answers)-1)]
		v.ID = "v"
		_ = json.NewEncoder(w).Encode(v)
		n++
	}))
	defer server.Close()
	api, err := newClient(server.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	v, err := follow(t.Context(), api, guardian.Validation{ID: "v"}, time.Millisecond, &out)
	if err != nil || v.Status != judge.StatusPass {
		t.Fatalf("%+v, %v", v, err)
	}
	if want := at.Local().Format("15:04:05") + "  Watching: first\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}
