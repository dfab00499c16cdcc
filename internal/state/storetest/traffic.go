package storetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/delivery/rollout"
	"github.com/tidegate-io/tidegate/delivery/traffic"
	"github.com/tidegate-io/tidegate/fault"
)

var blue = traffic.Side{Name: "blue", Version: "1", URL: "http://127.0.0.1:1"}

func splits(t *testing.T, s Stores) {
	first := traffic.Split{Route: "shop", Generation: 1, Sides: []traffic.Part{{Side: blue, Weight: 100}}}
	ok(t, s.Traffic.PutSplit(t.Context(), first))
	wantKind(t, s.Traffic.PutSplit(t.Context(), first), fault.KindConflict)
	later := first
	later.Generation = 7
	ok(t, s.Traffic.PutSplit(t.Context(), later))
	older := first
	older.Generation = 3
	wantKind(t, s.Traffic.PutSplit(t.Context(), older), fault.KindConflict)
	wantKind(t, s.Traffic.PutSplit(t.Context(), traffic.Split{}), fault.KindInvalid)
	other := traffic.Split{Route: "api", Generation: 1}
	ok(t, s.Traffic.PutSplit(t.Context(), other))
	got, err := s.Traffic.Splits(t.Context())
	ok(t, err)
	if d := cmp.Diff([]traffic.Split{other, later}, got); d != "" {
		t.Errorf("stored splits differ:\n%s", d)
	}
}

func rollouts(t *testing.T, s Stores) {
	r := rollout.Run{ID: "r1", Rollout: rollout.Rollout{Name: "shop", Route: "shop", Steps: []rollout.Step{{Weight: 5}}}, Stable: blue,
		State: rollout.StateRunning, Phase: rollout.PhaseJudge, Started: t0, Steps: []rollout.StepRun{{Weight: 5, Verdicts: []rollout.StepVerdict{{Validation: "v", Status: "pass"}}}}}
	ok(t, s.Rollouts.PutRun(t.Context(), r))
	r.State, r.Phase, r.KeepUntil = rollout.StatePromoted, rollout.PhaseKeep, t0.Add(time.Hour)
	ok(t, s.Rollouts.PutRun(t.Context(), r))
	ok(t, s.Rollouts.PutRun(t.Context(), rollout.Run{ID: "r2", Rollout: rollout.Rollout{Name: "api"}, State: rollout.StateRunning, Phase: rollout.PhaseShift, Started: t0.Add(time.Hour)}))
	wantKind(t, s.Rollouts.PutRun(t.Context(), rollout.Run{}), fault.KindInvalid)
	got, err := s.Rollouts.Run(t.Context(), "r1")
	ok(t, err)
	if d := cmp.Diff(r, got); d != "" {
		t.Errorf("stored run differs:\n%s", d)
	}
	_, err = s.Rollouts.Run(t.Context(), "nobody")
	wantKind(t, err, fault.KindNotFound)
	for _, c := range []struct {
		q    rollout.Query
		want []string
	}{
		{rollout.Query{}, []string{"r2", "r1"}},
		{rollout.Query{Limit: 1}, []string{"r2"}},
		{rollout.Query{Rollout: "shop"}, []string{"r1"}},
		{rollout.Query{State: rollout.StateRunning}, []string{"r2"}},
		{rollout.Query{Phase: rollout.PhaseKeep}, []string{"r1"}},
		{rollout.Query{Phase: rollout.PhaseKeep, State: rollout.StateRunning}, []string{}},
	} {
		runs, err := s.Rollouts.Runs(t.Context(), c.q)
		ok(t, err)
		ids := []string{}
		for _, r := range runs {
			ids = append(ids, r.ID)
		}
		if d := cmp.Diff(c.want, ids); d != "" {
			t.Errorf("runs of %+v: %s", c.q, d)
		}
	}
}
