package compat

import (
	"encoding/json"
	"strings"
	"time"

	cloudevent "github.com/cloudevents/sdk-go/v2/event"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
)

// keptnData is the data that all of Keptn's events share
// (keptn/spec 0.2.4), and the parts of some tasks that have a meaning here.
type keptnData struct {
	Project string          `json:"project"`
	Stage   string          `json:"stage"`
	Service string          `json:"service"`
	Labels  map[string]text `json:"labels"`
	Status  string          `json:"status"`
	Result  string          `json:"result"`
	Message string          `json:"message"`
	Change  struct {
		Values map[string]json.RawMessage `json:"values"`
	} `json:"configurationChange"`
	Test struct {
		Strategy string    `json:"teststrategy"`
		Start    time.Time `json:"start"`
		End      time.Time `json:"end"`
	} `json:"test"`
	Deployment struct {
		PublicURIs []string `json:"deploymentURIsPublic"`
		Strategy   string   `json:"deploymentstrategy"`
	} `json:"deployment"`
}

// keptnEvent translates sh.keptn.event.<task>.<state>; of a sequence
// (sh.keptn.event.<stage>.<sequence>.<state>) the sequence is the task.
func keptnEvent(ce cloudevent.Event) (change.Event, error) {
	task, state, ok := keptnType(ce.Type())
	if !ok {
		return change.Event{}, fault.InvalidField("type", "%q is not sh.keptn.event.<task>.<triggered|started|status.changed|finished>", ce.Type())
	}
	var in keptnData
	if err := payload(ce, &in); err != nil {
		return change.Event{}, err
	}
	for _, f := range []struct{ name, value string }{{"project", in.Project}, {"stage", in.Stage}, {"service", in.Service}} {
		if f.value == "" {
			return change.Event{}, fault.InvalidField("data."+f.name, "is required of a Keptn event")
		}
	}
	p := properties{}
	for k, v := range in.Labels {
		p.put(k, string(v))
	}
	p.put("keptn.project", in.Project)
	p.put("keptn.stage", in.Stage)
	p.put("result", in.Result)
	p.put("status", in.Status)
	p.put("triggeredid", extension(ce, "triggeredid"))
	e := change.Event{
		Type: task + "." + state, Kind: keptnKind(task, state, in.Result), Reason: cut(in.Message, 2000),
		Title: cut("Keptn "+task+" "+state+" of "+in.Service+" in "+in.Stage, 500),
		Ref:   entity.Ref{Service: in.Service, Environment: in.Stage}, Key: cut(in.Project+"/"+in.Service, 300),
		Who: p.first(whoKeys...), Source: "keptn", Correlation: cut(extension(ce, "shkeptncontext"), 300),
	}
	switch task {
	case "deployment":
		in.deployed(&e, p)
	case "test":
		in.tested(&e, p)
	}
	e.Properties = p
	return e, nil
}

// keptnType takes a type apart.
func keptnType(full string) (task, state string, ok bool) {
	rest := strings.TrimPrefix(full, "sh.keptn.event.")
	for _, state := range []string{"triggered", "started", "status.changed", "finished"} {
		if before, found := strings.CutSuffix(rest, "."+state); found && before != "" {
			return before[strings.LastIndexByte(before, '.')+1:], state, true
		}
	}
	return "", "", false
}

func keptnKind(task, state, result string) change.Kind {
	switch task {
	case "deployment", "release", "rollback":
		// Only what really was deployed can break something.
		if state == "finished" && result != "fail" {
			return change.KindDeployment
		}
		return change.KindAnnotation
	case "test":
		return change.KindTest
	case "evaluation":
		return change.KindValidation
	case "problem":
		return change.KindProblem
	case "action", "remediation", "get-action":
		return change.KindAction
	}
	return change.KindAnnotation
}

// deployed reads the version out of the image that was deployed.
func (in *keptnData) deployed(e *change.Event, p properties) {
	var image string
	_ = json.Unmarshal(in.Change.Values["image"], &image) // absent in most events
	p.put("image", image)
	p.put("deploymentstrategy", in.Deployment.Strategy)
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		e.Version = cut(image[i+1:], 300)
	}
	e.To = firstOf(e.Version, p["buildVersion"], cut(image, 300))
	if len(in.Deployment.PublicURIs) > 0 {
		e.Links = link("Deployment", in.Deployment.PublicURIs[0])
	}
}

// tested reads when and what for the test ran.
func (in *keptnData) tested(e *change.Event, p properties) {
	p.put("purpose", in.Test.Strategy)
	if !in.Test.Start.IsZero() && in.Test.End.After(in.Test.Start) {
		p.put("duration", in.Test.End.Sub(in.Test.Start).String())
		e.Start = in.Test.End
	}
}
