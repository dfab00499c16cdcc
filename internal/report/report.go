// Package report writes what a validation found for people who have no
// account: one HTML file that needs nothing else (no network, no scripts,
// charts drawn in it, light and dark, A4), Markdown for a ticket or a chat,
// and JSON for programs.
//
// A report reads top down: what happened, why, what was done about it, then
// the numbers. It is a pure function of its Input: the same input gives the
// same bytes.
//
//	err := report.Render(w, report.HTML, report.Input{Validation: v, Guardian: &g})
package report

import (
	"encoding/json"
	"io"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/workflow"
)

// Format is how a report is written.
type Format string

// The formats.
const (
	HTML     Format = "html"
	Markdown Format = "markdown"
	JSON     Format = "json"
)

// ContentType is the media type of a format.
func (f Format) ContentType() string {
	switch f {
	case HTML:
		return "text/html; charset=utf-8"
	case Markdown:
		return "text/markdown; charset=utf-8"
	}
	return "application/json"
}

// Extension of a file of the format, with the dot.
func (f Format) Extension() string {
	switch f {
	case HTML:
		return ".html"
	case Markdown:
		return ".md"
	}
	return ".json"
}

// ParseFormat reads a format's name; "md" is Markdown and empty is HTML.
func ParseFormat(s string) (Format, error) {
	switch s {
	case "", "html":
		return HTML, nil
	case "markdown", "md":
		return Markdown, nil
	case "json":
		return JSON, nil
	}
	return "", fault.InvalidField("format", "unknown format %q, expected html, markdown or json", s)
}

// Input is what a report tells of. Only Validation is required; what is not
// given is left out.
type Input struct {
	Validation guardian.Validation `json:"validation"`
	Guardian   *guardian.Guardian  `json:"guardian,omitempty"`
	// Actions are the events of what was done because of the verdict, in
	// their order: a flag set back, a notification sent.
	Actions []change.Event `json:"actions,omitempty"`
	// Verification is the validation that checked the actions.
	Verification *guardian.Validation `json:"verification,omitempty"`
	WorkflowRun  *workflow.Run        `json:"workflowRun,omitempty"`
	// BaseURL of the server, for links to the validation and its traces;
	// without it the report links nowhere.
	BaseURL string `json:"baseUrl,omitempty"`
	// Generated is when the report was made; left out when zero.
	Generated time.Time `json:"generated,omitzero"`
}

// Render writes the report. It fails only when w does, or for an unknown
// format.
func Render(w io.Writer, f Format, in Input) error {
	switch f {
	case HTML:
		return renderHTML(w, newPage(in))
	case Markdown:
		return renderMarkdown(w, newPage(in))
	case JSON:
		return renderJSON(w, in)
	}
	return fault.InvalidField("format", "unknown format %q", f)
}

// document is the JSON form: the conclusions first, then all they rest on.
type document struct {
	Schema   string `json:"schema"`
	Headline string `json:"headline"`
	Status   string `json:"status"`
	Decision string `json:"decision"`
	Input
}

func renderJSON(w io.Writer, in Input) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(document{
		Schema: "tidegate.dev/report/v1", Headline: headline(in.Validation),
		Status: string(in.Validation.Status), Decision: decision(in), Input: in,
	})
}
