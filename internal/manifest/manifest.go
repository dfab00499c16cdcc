// Package manifest reads configuration as code: YAML documents of one style
// (apiVersion, kind, metadata, spec) into the definitions of the domains.
//
//	objects, err := manifest.Parse("checkout.yaml", data, manifest.Options{})
//
// Every field is known or it is an error; errors carry file, line, column,
// what was expected and the nearest known name, and all errors of a file are
// reported at once ([Errors]). Values a person would say ("200ms", "15%",
// "> 200ms") are parsed here, so that the domains see seconds and fractions.
// The JSON Schema of every kind is derived from the same Go types ([Schema]).
package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tidegate-io/tidegate/fault"
)

// APIVersion is the only version there is.
const APIVersion = "tidegate.dev/v1"

// maxSize bounds one file of manifests.
const maxSize = 4 << 20

// Metadata names an object.
type Metadata struct {
	Name   string            `json:"name" doc:"lower-case letters, digits, dashes and dots; at most 63 characters" pattern:"^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$"`
	Labels map[string]string `json:"labels,omitempty"`
}

// Object is one parsed document.
type Object struct {
	Kind     string
	Metadata Metadata
	// Spec is the kind's type of this package: *Guardian, *Workflow, …
	Spec any
	// Source is the file's name, Line the line of the document's first key.
	Source string
	Line   int
	// YAML is the document as it was written.
	YAML string
}

// Name returns the object's name.
func (o *Object) Name() string { return o.Metadata.Name }

// ID returns "Kind/name".
func (o *Object) ID() string { return o.Kind + "/" + o.Metadata.Name }

// Options for Parse.
type Options struct {
	// Env resolves ${env.NAME}; nil means that no variable is set.
	Env func(name string) (string, bool)
}

// spec is implemented by every kind: what cannot be said by types alone.
type spec interface {
	// check reports semantic errors; at gives the place of a field by its path.
	check(c *checker)
}

// kinds lists every kind with its type; the names are sorted in Kinds.
var kinds = map[string]func() spec{
	"Guardian":             func() spec { return new(Guardian) },
	"Workflow":             func() spec { return new(Workflow) },
	"Remediation":          func() spec { return new(Remediation) },
	"LoadTest":             func() spec { return new(LoadTest) },
	"FlagSet":              func() spec { return new(FlagSet) },
	"Route":                func() spec { return new(Route) },
	"Series":               func() spec { return new(Series) },
	"Rollout":              func() spec { return new(Rollout) },
	"Pipeline":             func() spec { return new(Pipeline) },
	"NotificationChannel":  func() spec { return new(NotificationChannel) },
	"LogRule":              func() spec { return new(LogRule) },
	"Environment":          func() spec { return new(Environment) },
	"EntityRules":          func() spec { return new(EntityRules) },
	"PerformanceSignature": func() spec { return new(PerformanceSignature) },
	"Alert":                func() spec { return new(Alert) },
	"AlertingProfile":      func() spec { return new(AlertingProfile) },
	"MaintenanceWindow":    func() spec { return new(MaintenanceWindow) },
}

// Kinds returns the known kinds, sorted.
func Kinds() []string {
	out := make([]string, 0, len(kinds))
	for k := range kinds {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// Kind returns the kind that the word names, in any case; an error with the
// nearest kind when there is none.
func Kind(word string) (string, error) {
	for k := range kinds {
		if strings.EqualFold(k, word) {
			return k, nil
		}
	}
	return "", fault.NotFound("unknown kind %q%s; known kinds are %s", word, didYouMean(word, Kinds()), strings.Join(Kinds(), ", "))
}

// Parse reads all documents of one file. Empty documents are skipped. The
// error is of type Errors (a fault of KindInvalid) and lists every mistake.
func Parse(source string, data []byte, opts Options) ([]Object, error) {
	if len(data) > maxSize {
		return nil, Errors{{Source: source, Line: 1, Column: 1, Message: fmt.Sprintf("file is larger than %d MiB", maxSize>>20)}}
	}
	var (
		out  []Object
		errs Errors
		dec  = yaml.NewDecoder(bytes.NewReader(data))
	)
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			errs = append(errs, syntaxError(source, err))
			break
		}
		if len(doc.Content) == 0 || doc.Content[0].Tag == "!!null" {
			continue
		}
		o, derrs := parseDocument(source, doc.Content[0], opts)
		if len(derrs) > 0 {
			errs = append(errs, derrs...)
			continue
		}
		out = append(out, o)
	}
	seen := map[string]int{}
	for i := range out {
		if line, dup := seen[out[i].ID()]; dup {
			errs = append(errs, Error{Source: source, Line: out[i].Line, Column: 1,
				Message: fmt.Sprintf("%s is defined twice; the first is on line %d", out[i].ID(), line)})
		}
		seen[out[i].ID()] = out[i].Line
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return out, nil
}

// envelope is the part all kinds share; spec is decoded once the kind is known.
type envelope struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Metadata   Metadata `json:"metadata"`
	Spec       rawNode  `json:"spec"`
}

var nameRE = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$`)

func parseDocument(source string, root *yaml.Node, opts Options) (Object, Errors) {
	d := &decoder{source: source, env: opts.Env, nodes: map[string]*yaml.Node{}}
	var e envelope
	d.decode(root, valueOf(&e), "")
	if len(d.errs) > 0 {
		return Object{}, d.errs
	}
	if e.APIVersion == "" {
		d.errorAt("apiVersion", "is missing: expected %s", APIVersion)
	} else if e.APIVersion != APIVersion {
		d.errorAt("apiVersion", "expected %s, found %q", APIVersion, e.APIVersion)
	}
	switch {
	case e.Metadata.Name == "":
		d.errorAt("metadata.name", "is missing: expected lower-case letters, digits, dashes and dots, at most 63 characters")
	case !nameRE.MatchString(e.Metadata.Name):
		d.errorAt("metadata.name", "%q is not a name: expected lower-case letters, digits, dashes and dots, at most 63 characters", e.Metadata.Name)
	}
	make, ok := kinds[e.Kind]
	if e.Kind == "" {
		d.errorAt("kind", "is missing: expected one of %s", strings.Join(Kinds(), ", "))
		return Object{}, d.errs
	}
	if !ok {
		d.errorAt("kind", "unknown kind %q%s; known kinds are %s", e.Kind, didYouMean(e.Kind, Kinds()), strings.Join(Kinds(), ", "))
		return Object{}, d.errs
	}
	if e.Spec.node == nil {
		d.errorAt("", "spec is missing")
		return Object{}, d.errs
	}
	s := make()
	d.decode(e.Spec.node, valueOf(s), "spec")
	if len(d.errs) == 0 {
		s.check(&checker{d: d, path: "spec"})
	}
	if len(d.errs) > 0 {
		return Object{}, d.errs
	}
	text, err := yaml.Marshal(root)
	if err != nil {
		d.errorAt("", "%v", err)
		return Object{}, d.errs
	}
	return Object{Kind: e.Kind, Metadata: e.Metadata, Spec: s, Source: source, Line: root.Line, YAML: string(text)}, nil
}

// Error is one mistake with its place.
type Error struct {
	Source  string `json:"source"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Path    string `json:"path,omitempty"`
	Message string `json:"message"`
}

// Error returns "file:line:column: path: message".
func (e Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", e.Source, e.Line, e.Column)
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString(e.Message)
	return b.String()
}

// Errors is every mistake of a file. It is a fault of KindInvalid.
type Errors []Error

// Error joins the messages, one a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// As lets errors.As find a *fault.Error of KindInvalid.
func (e Errors) As(target any) bool {
	f, ok := target.(**fault.Error)
	if ok {
		*f = &fault.Error{Kind: fault.KindInvalid, Err: errors.New(e.Error())}
	}
	return ok
}

var yamlLine = regexp.MustCompile(`line (\d+)`)

func syntaxError(source string, err error) Error {
	e := Error{Source: source, Line: 1, Column: 1, Message: strings.TrimPrefix(err.Error(), "yaml: ")}
	if m := yamlLine.FindStringSubmatch(e.Message); m != nil {
		fmt.Sscanf(m[1], "%d", &e.Line)
		e.Message = strings.TrimPrefix(e.Message, m[0]+": ")
	}
	return e
}
