package manifest

import (
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/problem"
	"github.com/tidegate-io/tidegate/problem/detect"
)

// Series is the spec of kind Series: a number that is watched without a limit.
// What is usual for it is learned.
type Series struct {
	Query  string    `json:"query" doc:"PromQL whose answer is one number"`
	Unit   string    `json:"unit,omitempty"`
	Worse  string    `json:"worse,omitempty" enum:"up,down" doc:"the side that is a problem; default both"`
	Every  *Duration `json:"every,omitempty" doc:"how often it is looked at; default 30s"`
	Target *AlertOf  `json:"target,omitempty" doc:"the place it is about"`
	Raise  Raise     `json:"raise,omitempty"`
}

// Bounds of how often a series is looked at.
const (
	defaultSeriesEvery = 30 * time.Second
	minSeriesEvery     = 2 * time.Second
	maxSeriesEvery     = 24 * time.Hour
)

func (s *Series) check(c *checker) {
	s.Raise.check(c.at("raise"))
	oneOf(c.at("worse"), s.Worse, "up", "down")
	if s.Query == "" {
		c.at("query").errorf("is missing")
	}
	checkPromQL(c.at("query"), s.Query)
	if e := s.LookEvery(); e < minSeriesEvery || e > maxSeriesEvery {
		c.at("every").errorf("expected between %s and %s", minSeriesEvery, maxSeriesEvery)
	}
}

// LookEvery is how often the series is looked at.
func (s *Series) LookEvery() time.Duration {
	if s.Every == nil {
		return defaultSeriesEvery
	}
	return time.Duration(*s.Every)
}

// Definition returns the series as the detector knows it.
func (s *Series) Definition(name string, labels map[string]string) detect.Series {
	out := detect.Series{Name: name, Query: s.Query, Unit: s.Unit, Worse: detect.Worse(s.Worse),
		Severity: problem.Severity(s.Raise.Severity), Informational: s.Raise.Informational, Tags: labels}
	if s.Target != nil {
		out.Ref = entity.Ref{Service: s.Target.Service, Environment: s.Target.Environment}
	}
	return out
}
