package cause

import (
	"github.com/tidegate-io/tidegate/problem"
)

// Find answers why.
func Find(in Input) problem.Cause {
	w := newWorld(in)
	w.measureExcess()
	out := problem.Cause{Kind: problem.CauseUnknown, Remedy: problem.RemedyNone}
	for _, s := range w.suspects() {
		why := ""
		if len(s.parts) > 0 {
			why = s.parts[0].text
		}
		out.Ranking = append(out.Ranking, problem.Suspect{Ref: w.nodes[s.node].ref, Score: s.score, Why: why})
	}
	return out
}
