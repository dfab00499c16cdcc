package guardian

import (
	"context"

	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/judge"
)

// explained are the outcomes that evidence is gathered for.
func explained(s judge.Status) bool {
	return oneOf(s, judge.StatusFail, judge.StatusWarn, judge.StatusError, judge.StatusInconclusive)
}

// explain gathers evidence for what did not pass. Evidence that cannot be had
// does not change the verdict.
func (s *Service) explain(ctx context.Context, v *Validation, g Guardian, measured []measurement, h history) {
	if !explained(v.Status) {
		return
	}
	r := evidence.Request{
		Target:   v.Target,
		Window:   evidence.Interval(v.Window),
		Baseline: h.lastGood(),
		Traces:   s.traces, Logs: s.logs, Changes: s.changes,
	}
	for i, m := range measured {
		if !explained(v.Verdict.Results[i].Status) {
			continue
		}
		r.Slow = r.Slow || m.objective.Indicator.Latency != nil
	}
	if m, ok := worst(*v, measured); ok {
		r.Target = m.objective.target(g)
		r.Operation = m.objective.operation()
		if m.input.Baseline != nil {
			r.Baseline = evidence.Interval(v.Window.Shifted(m.objective.Shift))
			if to := m.objective.CompareTo; to != nil {
				r.BaselineTarget = *to
			}
		}
	}
	if r.Target.Service == "" {
		return // only PromQL over no particular service: nothing to look at
	}
	ctx, cancel := context.WithTimeout(ctx, explainWithin)
	defer cancel()
	e, err := evidence.Gather(ctx, r)
	if err != nil {
		s.log.Warn("evidence is incomplete", "validation", v.ID, "error", err)
	}
	v.Evidence = e
}

// lastGood is the window of the newest run that trains: a time when all was
// well. Zero when there is none.
func (h history) lastGood() evidence.Interval {
	for i := len(h.runs) - 1; i >= 0; i-- {
		if v := h.runs[i]; v.Status == judge.StatusPass || v.Status == judge.StatusLearning {
			return evidence.Interval(v.Window)
		}
	}
	return evidence.Interval{}
}

// worst returns the measurement whose result says most about the failure:
// the worst status, errors before latency before the rest.
func worst(v Validation, measured []measurement) (measurement, bool) {
	best, rank := -1, 0
	for i, r := range v.Verdict.Results {
		if n := severity(r, measured[i].objective.Indicator); n > rank {
			best, rank = i, n
		}
	}
	if best < 0 {
		return measurement{}, false
	}
	return measured[best], true
}

func severity(r judge.Result, ind Indicator) int {
	byStatus := map[judge.Status]int{judge.StatusWarn: 1, judge.StatusInconclusive: 2, judge.StatusError: 3, judge.StatusFail: 4}
	n := byStatus[r.Status] * 10
	switch {
	case n == 0:
		return 0
	case r.Role == judge.RoleInfo:
		n -= 9
	case ind.ErrorRate != nil:
		n += 3
	case ind.Latency != nil:
		n += 2
	}
	return n
}
