package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/problem"
	"github.com/tidegate-io/tidegate/problem/cause"
)

type incidentLine struct {
	Case        string   `json:"case"`
	Commit      string   `json:"root_cause_commit"`
	First       string   `json:"first_failing_service"`
	BlastRadius []string `json:"blast_radius"`
	Remediation string   `json:"remediation"`
}

func answerIncidents(ctx context.Context, o options) ([]incidentLine, error) {
	alerts, err := filepath.Glob(filepath.Join(o.data, "*", "alert.json"))
	if err != nil {
		return nil, err
	}
	if len(alerts) == 0 {
		return nil, fmt.Errorf("%s: no folder with an alert.json", o.data)
	}
	slices.Sort(alerts)
	var out []incidentLine
	for _, file := range alerts {
		dir := filepath.Dir(file)
		i, err := readIncident(dir)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
		l, err := i.answer(ctx, o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
		out = append(out, l)
	}
	return out, nil
}

// answer asks the engine as the product does: gather, then find.
func (i *incident) answer(ctx context.Context, o options) (incidentLine, error) {
	o.perturb.incident(i)
	r := cause.Readers{Traces: i, Logs: i, Changes: i, Series: i, Graph: i}
	in, _, err := cause.Gather(ctx, r, []problem.Event{i.symptom}, i.now)
	if err != nil {
		return incidentLine{}, err
	}
	leaveOut(&in, o.without)
	c := cause.Find(in)
	if o.explain {
		explain(os.Stdout, i.name, c)
	}
	l := incidentLine{Case: i.name, Commit: "none", First: i.symptom.Service, BlastRadius: []string{}, Remediation: remediation(c)}
	if c.Change != nil && c.Change.Event.Kind == change.KindDeployment {
		l.Commit = c.Change.Event.Properties["commit.sha"]
	}
	if len(c.Ranking) > 0 {
		l.First = c.Ranking[0].Service
	}
	l.BlastRadius = i.blastRadius(in, l.First)
	return l, nil
}

// blastRadius is what is hurt beside the origin: by its series and logs, or
// because it answered with errors.
func (i *incident) blastRadius(in cause.Input, origin string) []string {
	hurt := map[string]bool{}
	for _, r := range cause.Affected(in) {
		hurt[r.Service] = true
	}
	for _, t := range i.traces {
		for _, s := range t.Spans {
			if s.Failed() {
				hurt[s.Service] = true
			}
		}
	}
	delete(hurt, origin)
	out := []string{} // never null
	for s := range hurt {
		out = append(out, s)
	}
	sort.Strings(out)
	return out
}

// remediation spells a remedy as the set does.
func remediation(c problem.Cause) string {
	switch c.Remedy {
	case problem.RemedyFailOver:
		return "failover"
	case problem.RemedyRotate:
		return "rotate-cert"
	case problem.RemedyQuarantine:
		return "purge-bad-data"
	case problem.RemedyNone:
		return "none"
	}
	return string(c.Remedy)
}
