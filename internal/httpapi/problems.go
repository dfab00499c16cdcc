package httpapi

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/problem"
)

// Problems are kept and cared for. Ids are those of problems, or their names
// (P-17).
type Problems interface {
	Problem(ctx context.Context, id string) (problem.Problem, error)
	Problems(ctx context.Context, q problem.Query) ([]problem.Problem, error)
	Comment(ctx context.Context, id string, c problem.Comment) error
	Acknowledge(ctx context.Context, id, who, text string) (problem.Problem, error)
	Close(ctx context.Context, id, who, reason string) (problem.Problem, error)
}

// ProblemEvents takes the events that problems are made of.
type ProblemEvents interface {
	Observe(ctx context.Context, events []problem.Event) (problems []string, err error)
	Resolve(ctx context.Context, eventIDs []string, at time.Time) (problems []string, err error)
}

// ProblemList is a page of problems, newest first, without evidence.
type ProblemList struct {
	Problems []problem.Problem `json:"problems"`
	// Next is the value of "before" for the next page; empty on the last.
	Next string `json:"next,omitempty"`
}

// ProblemsQuery selects problems.
type ProblemsQuery struct {
	TimeRange
	State       string `query:"state" enum:"open,closed"`
	Service     string `query:"service" doc:"an impacted service, or the one of the cause"`
	Environment string `query:"environment"`
	Severity    string `query:"severity" enum:"availability,error,slowdown,resource,custom,info"`
	Before      string `query:"before" doc:"number of a problem"`
	Limit       int    `query:"limit" default:"50" minimum:"1" maximum:"500"`
}

func (q *ProblemsQuery) query() (problem.Query, error) {
	from, to, err := q.optional()
	out := problem.Query{State: problem.State(q.State), Service: q.Service, Environment: q.Environment,
		Severity: problem.Severity(q.Severity), From: from, To: to, Limit: q.Limit}
	if q.Before == "" || err != nil {
		return out, err
	}
	out.Before, err = strconv.Atoi(strings.TrimPrefix(strings.ToUpper(q.Before), "P-"))
	if err != nil || out.Before < 1 {
		return out, fault.InvalidField("before", "%q is not the number of a problem", q.Before)
	}
	return out, nil
}

// CommentInput is what a person says of a problem.
type CommentInput struct {
	Who  string `json:"who" minLength:"1" maxLength:"200"`
	Text string `json:"text" minLength:"1" maxLength:"10000"`
	Link string `json:"link,omitempty" maxLength:"2048" pattern:"^https?://" doc:"where there is more"`
}

// AcknowledgeInput says who looks after a problem.
type AcknowledgeInput struct {
	Who  string `json:"who" minLength:"1" maxLength:"200"`
	Text string `json:"text,omitempty" maxLength:"2000"`
}

// ProblemEventInput is a symptom that another monitor, or a script, reports.
type ProblemEventInput struct {
	ID     string `json:"id" minLength:"1" maxLength:"200" doc:"the same each time the event is reported, and when it is resolved"`
	State  string `json:"state,omitempty" enum:"open,resolved" doc:"default open"`
	Source string `json:"source,omitempty" maxLength:"200" doc:"who reports it; default api"`
	Title  string `json:"title,omitempty" maxLength:"500" doc:"required unless it is resolved"`
	Why    string `json:"why,omitempty" maxLength:"4000"`

	Severity problem.Severity `json:"severity,omitempty" enum:"availability,error,slowdown,resource,custom,info" doc:"default custom"`
	Signal   problem.Signal   `json:"signal,omitempty" enum:"errors,latency,slowest,traffic.drop,traffic.surge,no-data,series,alert,log,external" doc:"default external"`

	Service     string `json:"service,omitempty" maxLength:"200"`
	Environment string `json:"environment,omitempty" maxLength:"200"`
	Version     string `json:"version,omitempty" maxLength:"200"`
	Operation   string `json:"operation,omitempty" maxLength:"200"`

	Start time.Time `json:"start,omitzero" doc:"onset; default now"`
	End   time.Time `json:"end,omitzero" doc:"when it was over, if it is"`
	// TimeoutSeconds ends an event that is not reported again.
	TimeoutSeconds int `json:"timeoutSeconds,omitempty" minimum:"1" maximum:"604800" doc:"it is over when it is not reported again for so long"`

	Informational bool              `json:"informational,omitempty" doc:"shown on the timeline, opens no problem"`
	Group         string            `json:"group,omitempty" maxLength:"2000" doc:"events of one source with the same group are one problem"`
	Tags          map[string]string `json:"tags,omitempty"`
	URL           string            `json:"url,omitempty" maxLength:"2048" doc:"where the monitor shows it"`
}

// eventID is the event's id among those of all sources.
func (in *ProblemEventInput) eventID() string {
	return cmp.Or(in.Source, "api") + ":" + in.ID
}

func (in *ProblemEventInput) event(now time.Time) problem.Event {
	e := problem.Event{
		ID: in.eventID(), Source: cmp.Or(in.Source, "api"), Signal: in.Signal, Severity: in.Severity, Title: in.Title, Why: in.Why,
		Ref: entity.Ref{Service: in.Service, Environment: in.Environment, Version: in.Version}, Operation: in.Operation,
		Start: in.Start, End: in.End, Informational: in.Informational, Group: in.Group, Tags: in.Tags,
		External: &problem.External{System: cmp.Or(in.Source, "api"), ID: in.ID, URL: in.URL},
	}
	if in.TimeoutSeconds > 0 {
		e.Expires = now.Add(time.Duration(in.TimeoutSeconds) * time.Second)
	}
	return e
}

// ProblemEventAccepted says which problem an event is of.
type ProblemEventAccepted struct {
	Event   string `json:"event" doc:"id"`
	Problem string `json:"problem,omitempty" doc:"id; empty when the event opens none"`
}

func (a *server) registerProblems(api huma.API) {
	huma.Get(api, "/v1/problems", call(a, func(ctx context.Context, in *ProblemsQuery) (ProblemList, error) {
		q, err := in.query()
		if err != nil {
			return ProblemList{}, err
		}
		list, err := a.Problems.Problems(ctx, q)
		out := ProblemList{Problems: nonNil(list)}
		if len(list) == q.Limit {
			out.Next = strconv.Itoa(list[len(list)-1].Number)
		}
		return out, err
	}), named("list-problems"))
	huma.Get(api, "/v1/problems/{id}", call(a, func(ctx context.Context, in *IDParam) (problem.Problem, error) {
		return a.Problems.Problem(ctx, in.ID)
	}), named("get-problem"))
	huma.Post(api, "/v1/problems/{id}/comments", call(a, func(ctx context.Context, in *struct {
		IDParam
		Body CommentInput
	}) (problem.Problem, error) {
		err := a.Problems.Comment(ctx, in.ID, problem.Comment{Who: in.Body.Who, Text: in.Body.Text, Link: in.Body.Link})
		if err != nil {
			return problem.Problem{}, err
		}
		return a.Problems.Problem(ctx, in.ID)
	}), named("comment-problem"), status(http.StatusCreated))
	huma.Post(api, "/v1/problems/{id}/acknowledge", call(a, func(ctx context.Context, in *struct {
		IDParam
		Body AcknowledgeInput
	}) (problem.Problem, error) {
		return a.Problems.Acknowledge(ctx, in.ID, in.Body.Who, in.Body.Text)
	}), named("acknowledge-problem"))
	huma.Post(api, "/v1/problems/{id}/close", call(a, func(ctx context.Context, in *struct {
		IDParam
		Body WhoWhy
	}) (problem.Problem, error) {
		return a.Problems.Close(ctx, in.ID, in.Body.Who, in.Body.Reason)
	}), named("close-problem"))
	huma.Post(api, "/v1/problem-events", call(a, func(ctx context.Context, in *struct{ Body ProblemEventInput }) (ProblemEventAccepted, error) {
		return a.problemEvent(ctx, &in.Body)
	}), named("report-problem-event"), status(http.StatusAccepted))
}

func (a *server) problemEvent(ctx context.Context, in *ProblemEventInput) (ProblemEventAccepted, error) {
	out := ProblemEventAccepted{Event: in.eventID()}
	var problems []string
	var err error
	if in.State == "resolved" {
		problems, err = a.ProblemEvents.Resolve(ctx, []string{out.Event}, in.End)
	} else {
		problems, err = a.ProblemEvents.Observe(ctx, []problem.Event{in.event(a.Clock())})
	}
	if err == nil && len(problems) > 0 {
		out.Problem = problems[0]
	}
	return out, err
}
