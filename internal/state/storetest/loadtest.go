package storetest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/loadtest"
)

func loadRuns(t *testing.T, s Stores) {
	first := loadtest.Run{ID: "r1", Test: "training", Target: entity.Ref{Service: "checkout"}, Tool: "k6", State: loadtest.StateRunning, Started: t0}
	ok(t, s.LoadTests.PutRun(t.Context(), first))
	first.State, first.Finished, first.Output = loadtest.StateFinished, t0.Add(time.Minute), "done\x00"
	first.Result = &loadtest.Result{Requests: 100, P99: time.Second, Codes: map[string]int64{"200": 99}, Extra: json.RawMessage(`{"a":1}`)}
	ok(t, s.LoadTests.PutRun(t.Context(), first))
	ok(t, s.LoadTests.PutRun(t.Context(), loadtest.Run{ID: "r2", Test: "training", Started: t0.Add(time.Hour)}))
	ok(t, s.LoadTests.PutRun(t.Context(), loadtest.Run{ID: "r3", Test: "acceptance", Started: t0.Add(time.Minute)}))

	got, err := s.LoadTests.Run(t.Context(), "r1")
	ok(t, err)
	if d := cmp.Diff(first, got); d != "" {
		t.Errorf("stored run differs:\n%s", d)
	}
	_, err = s.LoadTests.Run(t.Context(), "nobody")
	wantKind(t, err, fault.KindNotFound)
	wantKind(t, s.LoadTests.PutRun(t.Context(), loadtest.Run{}), fault.KindInvalid)
	for _, c := range []struct {
		test  string
		limit int
		want  []string
	}{
		{"", 0, []string{"r2", "r3", "r1"}},
		{"training", 0, []string{"r2", "r1"}},
		{"training", 1, []string{"r2"}},
		{"none", 0, []string{}},
	} {
		runs, err := s.LoadTests.Runs(t.Context(), c.test, c.limit)
		ok(t, err)
		ids := []string{}
		for _, r := range runs {
			ids = append(ids, r.ID)
		}
		if d := cmp.Diff(c.want, ids); d != "" {
			t.Errorf("runs of %q: %s", c.test, d)
		}
	}
}
