package compat

import (
	"encoding/json"
	"net/url"
	"strings"

	cloudevent "github.com/cloudevents/sdk-go/v2/event"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/fault"
)

// cdDocument is a CDEvent (https://cdevents.dev, specification 0.5.1), the
// data of its CloudEvent.
type cdDocument struct {
	Context struct {
		ID      string `json:"id"`
		ChainID string `json:"chainId"`
	} `json:"context"`
	Subject struct {
		ID      string          `json:"id"`
		Source  string          `json:"source"`
		Content json.RawMessage `json:"content"`
	} `json:"subject"`
	CustomData json.RawMessage `json:"customData"`
}

// cdReference is how content refers to another subject.
type cdReference struct {
	ID string `json:"id"`
}

// cdContent holds the members of content that have a meaning here.
type cdContent struct {
	Environment  cdReference `json:"environment"`
	Service      cdReference `json:"service"`
	ArtifactID   string      `json:"artifactId"`
	Description  string      `json:"description"`
	Outcome      string      `json:"outcome"`
	Reason       string      `json:"reason"`
	URI          string      `json:"uri"`
	URL          string      `json:"url"`
	PipelineName string      `json:"pipelineName"`
	TestSuite    struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"testSuite"`
}

// cdEvent translates dev.cdevents.<subject>.<predicate>.<version>.
func cdEvent(ce cloudevent.Event) (change.Event, error) {
	subject, rest, _ := strings.Cut(strings.TrimPrefix(ce.Type(), "dev.cdevents."), ".")
	predicate, _, _ := strings.Cut(rest, ".")
	if subject == "" || predicate == "" {
		return change.Event{}, fault.InvalidField("type", "%q is not dev.cdevents.<subject>.<predicate>.<version>", ce.Type())
	}
	var doc cdDocument
	if err := payload(ce, &doc); err != nil {
		return change.Event{}, err
	}
	if doc.Subject.ID == "" {
		return change.Event{}, fault.InvalidField("subject.id", "is required of a CDEvent")
	}
	var content cdContent
	if len(doc.Subject.Content) > 0 {
		if err := decode(doc.Subject.Content, &content); err != nil {
			return change.Event{}, fault.Invalid("subject.content: %w", err)
		}
	}
	if err := cdRequired(subject, predicate, content); err != nil {
		return change.Event{}, err
	}
	p := properties{}
	p.gather("", doc.CustomData)
	p.gather("", doc.Subject.Content)
	p.put("cdevents.subject", subject)
	p.put("cdevents.predicate", predicate)
	e := change.Event{
		Title: cut(strings.TrimSpace(subject+" "+doc.Subject.ID+" "+predicate), 500), Reason: cut(content.Reason, 2000),
		Key: cut(doc.Subject.ID, 300), Correlation: cut(doc.Context.ChainID, 300), Properties: p,
		Who: p.first(whoKeys...), Source: firstOf(p["tool"], doc.Subject.Source),
		Links: link(subject, firstOf(content.URL, content.URI)),
	}
	e.Environment, e.Service = content.Environment.ID, firstOf(content.Service.ID, p["service"])
	cdMeaning(&e, subject, predicate, doc.Subject.ID, content)
	return e, nil
}

// cdRequired checks what the specification requires of the content.
func cdRequired(subject, predicate string, c cdContent) error {
	if c.Environment.ID != "" {
		return nil
	}
	// A removed service and every kind of incident and test run say where.
	needed := subject == "incident" || subject == "testsuiterun" || subject == "testcaserun" ||
		subject == "service" && predicate != "published"
	if needed {
		return fault.InvalidField("subject.content.environment.id", "is required of a CDEvent %s.%s", subject, predicate)
	}
	return nil
}

// cdMeaning sets type and kind, and what else depends on them.
func cdMeaning(e *change.Event, subject, predicate, id string, c cdContent) {
	switch subject {
	case "service":
		e.Service = firstOf(e.Service, id)
		e.Type, e.Kind = "deployment."+predicate, change.KindDeployment
		e.Version = artifactVersion(c.ArtifactID)
		e.To = firstOf(e.Version, c.ArtifactID)
		switch predicate {
		case "deployed", "upgraded", "rolledback":
			e.Type = change.TypeDeploymentFinished
		}
	case "testsuiterun":
		e.Type, e.Kind = "test."+predicate, change.KindTest
		e.Key = firstOf(c.TestSuite.Name, c.TestSuite.ID, e.Key)
	case "testcaserun":
		e.Type, e.Kind = "testcase."+predicate, change.KindTest
	case "incident":
		e.Type, e.Kind = "problem."+predicate, change.KindProblem
		e.Title = cut(firstOf(c.Description, e.Title), 500)
	default:
		e.Type, e.Kind = subject+"."+predicate, change.KindAnnotation
		e.Key = cut(firstOf(c.PipelineName, e.Key), 300)
	}
}

// artifactVersion takes the version out of a package URL
// (https://github.com/package-url/purl-spec): the tag of an image, or what
// follows the @.
func artifactVersion(purl string) string {
	rest, ok := strings.CutPrefix(purl, "pkg:")
	if !ok {
		return ""
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, query, _ := strings.Cut(rest, "?")
	if q, err := url.ParseQuery(query); err == nil && q.Get("tag") != "" {
		return q.Get("tag")
	}
	i := strings.LastIndex(rest, "@")
	if i < 0 {
		return ""
	}
	if v, err := url.PathUnescape(rest[i+1:]); err == nil {
		return v
	}
	return ""
}
