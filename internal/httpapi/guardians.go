package httpapi

import (
	"context"
	"mime"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/judge"
)

// Guardians validates and keeps the history.
type Guardians interface {
	Guardians(ctx context.Context) ([]guardian.Guardian, error)
	Guardian(ctx context.Context, name string) (guardian.Guardian, error)
	Start(ctx context.Context, r guardian.Request) (guardian.Validation, error)
	Wait(ctx context.Context, id string) (guardian.Validation, error)
	Validation(ctx context.Context, id string) (guardian.Validation, error)
	Validations(ctx context.Context, q guardian.HistoryQuery) ([]guardian.Validation, error)
	Train(ctx context.Context, id, decision, who, reason string) (guardian.Validation, error)
	Pin(ctx context.Context, id string, pinned bool, who, reason string) (guardian.Validation, error)
}

// Reporter renders the report of a validation.
type Reporter interface {
	// Report returns the document and its media type; format is html,
	// markdown or json.
	Report(ctx context.Context, validationID, format string) (doc []byte, mediaType string, err error)
}

// GuardianItem is a guardian in a list.
type GuardianItem struct {
	Guardian guardian.Guardian    `json:"guardian"`
	Last     *guardian.Validation `json:"last,omitempty"`
	// Counts of the latest 100 validations by status.
	Counts map[judge.Status]int `json:"counts"`
}

// ValidationList is newest first.
type ValidationList struct {
	Validations []guardian.Validation `json:"validations"`
	// Next is the value of "before" for the next page of one guardian's
	// history; absent on the last.
	Next int `json:"next,omitempty"`
}

// ValidationInput asks for a validation: from and to, or last, or next.
type ValidationInput struct {
	ID   string            `json:"id,omitempty" maxLength:"100" doc:"makes a repeated request harmless"`
	From time.Time         `json:"from,omitzero"`
	To   time.Time         `json:"to,omitzero"`
	Last string            `json:"last,omitempty" doc:"length of the window that ends now, for example 1m"`
	Next string            `json:"next,omitempty" doc:"length of the window that begins now"`
	Tags map[string]string `json:"tags,omitempty"`
	// Variables are values for this run.
	Variables map[string]string `json:"variables,omitempty" doc:"values of the guardian's variables"`
	Who       string            `json:"who,omitempty" maxLength:"200"`
	Wait      bool              `json:"wait,omitempty" doc:"answer when the verdict is there, or after 10 minutes as it is then"`
}

func (in *ValidationInput) request(name string) (guardian.Request, error) {
	r := guardian.Request{ID: in.ID, Guardian: name, Window: guardian.Window{From: in.From, To: in.To},
		Tags: in.Tags, Variables: in.Variables, Who: in.Who, Trigger: "api"}
	for _, d := range []struct {
		field, text string
		into        *time.Duration
	}{{"last", in.Last, &r.Last}, {"next", in.Next, &r.Next}} {
		if d.text == "" {
			continue
		}
		v, err := time.ParseDuration(d.text)
		if err != nil || v <= 0 {
			return r, fault.InvalidField(d.field, "%q is not a duration: expected for example 1m", d.text)
		}
		*d.into = v
	}
	return r, nil
}

const longestWait = 10 * time.Minute

// GuardianList is all guardians.
type GuardianList struct {
	Guardians []GuardianItem `json:"guardians"`
}

func (a *server) registerGuardians(api huma.API) {
	huma.Get(api, "/v1/guardians", call(a, func(ctx context.Context, _ *struct{}) (GuardianList, error) {
		all, err := a.Guardians.Guardians(ctx)
		if err != nil {
			return GuardianList{}, err
		}
		out := GuardianList{Guardians: []GuardianItem{}}
		for _, g := range all {
			item, err := a.guardianItem(ctx, g)
			if err != nil {
				return GuardianList{}, err
			}
			out.Guardians = append(out.Guardians, item)
		}
		return out, nil
	}), named("list-guardians"))
	huma.Get(api, "/v1/guardians/{name}", call(a, func(ctx context.Context, in *NameParam) (GuardianItem, error) {
		g, err := a.Guardians.Guardian(ctx, in.Name)
		if err != nil {
			return GuardianItem{}, err
		}
		return a.guardianItem(ctx, g)
	}), named("get-guardian"))
	huma.Post(api, "/v1/guardians/{name}/validations", call(a, func(ctx context.Context, in *struct {
		NameParam
		Body ValidationInput
	}) (guardian.Validation, error) {
		r, err := in.Body.request(in.Name)
		if err != nil {
			return guardian.Validation{}, err
		}
		v, err := a.Guardians.Start(ctx, r)
		if err != nil || !in.Body.Wait {
			return v, err
		}
		return a.wait(ctx, v.ID)
	}), status(http.StatusCreated))
	huma.Get(api, "/v1/guardians/{name}/validations", call(a, func(ctx context.Context, in *struct {
		NameParam
		Variant string `query:"variant"`
		Before  int    `query:"before" doc:"only numbers below this one"`
		Limit   int    `query:"limit" default:"50" minimum:"1" maximum:"500"`
	}) (ValidationList, error) {
		q := guardian.HistoryQuery{Guardian: in.Name, Limit: in.Limit, Before: in.Before}
		if in.Variant != "" {
			q.Variant = &in.Variant
		}
		return a.history(ctx, q)
	}))
	huma.Get(api, "/v1/validations", call(a, func(ctx context.Context, in *struct {
		Limit int `query:"limit" default:"50" minimum:"1" maximum:"500"`
	}) (ValidationList, error) {
		return a.validations(ctx, guardian.HistoryQuery{Limit: in.Limit})
	}), named("list-validations"))
	huma.Get(api, "/v1/validations/{id}", call(a, func(ctx context.Context, in *struct {
		IDParam
		Wait bool `query:"wait" doc:"answer when the verdict is there, or after 10 minutes as it is then"`
	}) (guardian.Validation, error) {
		if in.Wait {
			return a.wait(ctx, in.ID)
		}
		return a.Guardians.Validation(ctx, in.ID)
	}))
	huma.Post(api, "/v1/validations/{id}/training", call(a, func(ctx context.Context, in *struct {
		IDParam
		Body struct {
			Decision string `json:"decision" enum:"auto,accepted,rejected"`
			WhoWhy
		}
	}) (guardian.Validation, error) {
		return a.Guardians.Train(ctx, in.ID, in.Body.Decision, in.Body.Who, in.Body.Reason)
	}))
	huma.Post(api, "/v1/validations/{id}/pin", call(a, func(ctx context.Context, in *struct {
		IDParam
		Body struct {
			Pinned bool `json:"pinned"`
			WhoWhy
		}
	}) (guardian.Validation, error) {
		return a.Guardians.Pin(ctx, in.ID, in.Body.Pinned, in.Body.Who, in.Body.Reason)
	}))
	huma.Get(api, "/v1/validations/{id}/report", a.report)
}

// NameParam is the path parameter name.
type NameParam struct {
	Name string `path:"name"`
}

// wait returns the finished validation, or after longestWait the one that still
// runs: the caller asks again.
func (a *server) wait(ctx context.Context, id string) (guardian.Validation, error) {
	bounded, cancel := context.WithTimeout(ctx, longestWait)
	defer cancel()
	v, err := a.Guardians.Wait(bounded, id)
	if bounded.Err() != nil && ctx.Err() == nil {
		return a.Guardians.Validation(ctx, id)
	}
	return v, err
}

// history is a page of one guardian's validations. A guardian that was deleted
// keeps its history; one that never was is an error.
func (a *server) history(ctx context.Context, q guardian.HistoryQuery) (ValidationList, error) {
	out, err := a.validations(ctx, q)
	if err != nil {
		return out, err
	}
	if n := len(out.Validations); n == q.Limit {
		out.Next = out.Validations[n-1].Number
	}
	if len(out.Validations) == 0 {
		_, err = a.Guardians.Guardian(ctx, q.Guardian)
	}
	return out, err
}

func (a *server) guardianItem(ctx context.Context, g guardian.Guardian) (GuardianItem, error) {
	item := GuardianItem{Guardian: g, Counts: map[judge.Status]int{}}
	list, err := a.validations(ctx, guardian.HistoryQuery{Guardian: g.Name, Limit: 100})
	if err != nil {
		return item, err
	}
	for i := range list.Validations {
		if v := &list.Validations[i]; v.State == guardian.StateFinished {
			item.Counts[v.Status]++
			if item.Last == nil {
				item.Last = v
			}
		}
	}
	return item, nil
}

// validations lists without the large parts.
func (a *server) validations(ctx context.Context, q guardian.HistoryQuery) (ValidationList, error) {
	list, err := a.Guardians.Validations(ctx, q)
	for i := range list {
		list[i].Evidence, list[i].Sources, list[i].Watch = nil, nil, nil
	}
	return ValidationList{Validations: nonNil(list)}, err
}

type reportOutput struct {
	ContentType        string `header:"Content-Type"`
	ContentDisposition string `header:"Content-Disposition"`
	Body               []byte
}

func (a *server) report(ctx context.Context, in *struct {
	IDParam
	Format   string `query:"format" enum:"html,markdown,json" default:"html"`
	Download bool   `query:"download"`
}) (*reportOutput, error) {
	doc, mediaType, err := a.Report.Report(ctx, in.ID, in.Format)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	out := &reportOutput{ContentType: mediaType, Body: doc}
	if in.Download {
		ext := map[string]string{"html": "html", "markdown": "md", "json": "json"}[in.Format]
		out.ContentDisposition = mime.FormatMediaType("attachment", map[string]string{"filename": "tidegate-" + in.ID + "." + ext})
	}
	return out, nil
}
