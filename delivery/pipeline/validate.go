package pipeline

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/delivery/deploy"
	"github.com/tidegate-io/tidegate/fault"
)

// Limits of a definition, and times an action takes unless it says otherwise.
const (
	maxStages  = 50
	maxActions = 100
	maxRetries = 20
	maxFreeze  = 100
	maxPeople  = 1000
	maxTimeout = 30 * 24 * time.Hour

	deployMargin    = time.Minute // beyond the check and the grace
	loadTestTimeout = 4 * time.Hour
	verdictMargin   = 15 * time.Minute // beyond the window
	approveTimeout  = 24 * time.Hour
	commandTimeout  = 10 * time.Minute
	shortTimeout    = time.Minute
)

// Validate reports the first thing that is wrong, as a fault of KindInvalid
// whose field is the path in the manifest. It completes the names of actions.
func (p *Pipeline) Validate() error {
	p.complete()
	switch {
	case !deploy.ValidName(p.Name):
		return fault.InvalidField("metadata.name", "expected letters, digits, dashes, dots and underscores, got %.80q", p.Name)
	case len(p.Stages) == 0 || len(p.Stages) > maxStages:
		return fault.InvalidField("spec.stages", "expected 1 to %d stages, got %d", maxStages, len(p.Stages))
	case p.Newer != "" && p.Newer != Supersede && p.Newer != Queue:
		return fault.InvalidField("spec.newer", "%q: expected supersede or queue", p.Newer)
	case len(p.Freeze) > maxFreeze:
		return fault.InvalidField("spec.freeze", "at most %d, got %d", maxFreeze, len(p.Freeze))
	}
	if err := p.Source.validate(); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(p.Apps)) {
		app := p.Apps[name]
		if !deploy.ValidName(name) {
			return fault.InvalidField("spec.apps", "%.80q is not a name", name)
		}
		if err := within("spec.apps."+name, app.Validate()); err != nil {
			return err
		}
	}
	for name, people := range p.Groups {
		if name == "" || len(people) == 0 || len(people) > maxPeople || slices.Contains(people, "") {
			return fault.InvalidField("spec.groups."+name, "expected 1 to %d names of people", maxPeople)
		}
	}
	seen := map[string]bool{}
	for i := range p.Stages {
		path := fmt.Sprintf("spec.stages[%d]", i)
		s := &p.Stages[i]
		if seen[s.Name] {
			return fault.InvalidField(path+".name", "there are two stages %q", s.Name)
		}
		seen[s.Name] = true
		if err := p.validateStage(s, path); err != nil {
			return err
		}
	}
	for i := range p.Freeze {
		if err := p.validateFreeze(&p.Freeze[i], fmt.Sprintf("spec.freeze[%d]", i)); err != nil {
			return err
		}
	}
	return nil
}

// complete gives names to actions that have none.
func (p *Pipeline) complete() {
	for i := range p.Stages {
		count := map[string]int{}
		for j := range p.Stages[i].Actions {
			a := &p.Stages[i].Actions[j]
			if a.Name != "" {
				continue
			}
			name := string(a.Kind())
			if count[name]++; count[name] > 1 {
				name = fmt.Sprintf("%s-%d", name, count[name])
			}
			a.Name = name
		}
	}
}

func (s *Source) validate() error {
	if s == nil {
		return nil
	}
	n := 0
	for _, set := range []bool{s.Directory != "", s.File != "", s.Git != nil} {
		if set {
			n++
		}
	}
	switch {
	case n != 1:
		return fault.InvalidField("spec.source", "expected exactly one of directory, file and git")
	case s.Every < 0 || s.Every > maxTimeout:
		return fault.InvalidField("spec.source.every", "expected 0s to %s, got %s", maxTimeout, s.Every)
	case s.Git != nil && (s.Git.Repository == "" || strings.HasPrefix(s.Git.Repository, "-")):
		return fault.InvalidField("spec.source.git.repository", "expected a path or URL")
	case s.Git != nil && (strings.HasPrefix(s.Git.Branch, "-") || strings.ContainsAny(s.Git.Branch, " ~^:?*[\\\n")):
		return fault.InvalidField("spec.source.git.branch", "%q is not the name of a branch", s.Git.Branch)
	}
	return nil
}

func (p *Pipeline) validateStage(s *Stage, path string) error {
	switch {
	case !deploy.ValidName(s.Name):
		return fault.InvalidField(path+".name", "expected letters, digits, dashes, dots and underscores, got %.80q", s.Name)
	case !deploy.ValidName(s.environment()):
		return fault.InvalidField(path+".environment", "expected letters, digits, dashes, dots and underscores, got %.80q", s.Environment)
	case len(s.Actions) == 0 || len(s.Actions) > maxActions:
		return fault.InvalidField(path+".actions", "expected 1 to %d actions, got %d", maxActions, len(s.Actions))
	case s.OnFail != "" && s.OnFail != Rollback:
		return fault.InvalidField(path+".onFail", "%q: expected rollback", s.OnFail)
	}
	seen := map[string]bool{}
	for i := range s.Actions {
		a := &s.Actions[i]
		at := fmt.Sprintf("%s.actions[%d]", path, i)
		if seen[a.Name] {
			return fault.InvalidField(at+".name", "there are two actions %q", a.Name)
		}
		seen[a.Name] = true
		if err := p.validateAction(s, i, at); err != nil {
			return err
		}
	}
	return nil
}

func (p *Pipeline) validateAction(s *Stage, i int, at string) error {
	a := &s.Actions[i]
	switch {
	case a.Kind() == "":
		return fault.InvalidField(at, "expected exactly one of deploy, loadTest, event, validate, approve, command, webhook")
	case !deploy.ValidName(a.Name):
		return fault.InvalidField(at+".name", "expected letters, digits, dashes, dots and underscores, got %.80q", a.Name)
	case a.Retries < 0 || a.Retries > maxRetries:
		return fault.InvalidField(at+".retries", "expected 0 to %d, got %d", maxRetries, a.Retries)
	case a.Timeout < 0 || a.Timeout > maxTimeout:
		return fault.InvalidField(at+".timeout", "expected up to %s, got %s", maxTimeout, a.Timeout)
	case a.OnFail != "" && a.OnFail != Rollback:
		return fault.InvalidField(at+".onFail", "%q: expected rollback", a.OnFail)
	}
	switch a.Kind() {
	case KindDeploy:
		d := a.Deploy
		switch {
		case !deploy.ValidName(d.App):
			return fault.InvalidField(at+".deploy.app", "which app? expected a name")
		case d.With == "":
			return fault.InvalidField(at+".deploy.with", "with which deployer? for example process")
		case d.Slot != "" && !deploy.ValidName(d.Slot):
			return fault.InvalidField(at+".deploy.slot", "%.80q is not a name", d.Slot)
		}
		app := p.app(d)
		return within(at+".deploy", app.Validate())
	case KindLoadTest:
		if a.LoadTest.Test == "" {
			return fault.InvalidField(at+".loadTest", "which load test?")
		}
	case KindEvent:
		if a.Event.Type == "" || strings.ContainsAny(a.Event.Type, " \t\r\n") {
			return fault.InvalidField(at+".event.type", "expected a type without spaces, for example deployment.finished")
		}
	case KindValidate:
		return a.Validate.validate(at + ".validate")
	case KindApprove:
		return p.validateApprove(s, i, at+".approve")
	case KindCommand:
		if len(a.Command.Args) == 0 || a.Command.Args[0] == "" {
			return fault.InvalidField(at+".command.args", "expected the program and its arguments")
		}
	case KindWebhook:
		u, err := url.Parse(a.Webhook.URL)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return fault.InvalidField(at+".webhook.url", "expected an http or https URL")
		}
	}
	return nil
}

func (v *Validate) validate(at string) error {
	switch {
	case (v.Comparison == "") == (v.Guardian == ""):
		return fault.InvalidField(at, "expected one of comparison and guardian")
	case v.Comparison != "" && (v.Last != 0 || v.Next != 0 || len(v.Variables) > 0):
		return fault.InvalidField(at, "last, next and variables belong to a guardian; a comparison has in")
	case v.Guardian != "" && (v.In != 0 || v.Service != ""):
		return fault.InvalidField(at, "in and service belong to a comparison; a guardian has last or next")
	case v.Guardian != "" && (v.Last == 0) == (v.Next == 0):
		return fault.InvalidField(at, "expected one of last and next, the guardian's window")
	case v.In < 0 || v.Last < 0 || v.Next < 0:
		return fault.InvalidField(at, "a duration is negative")
	}
	return nil
}

func (p *Pipeline) validateApprove(s *Stage, i int, at string) error {
	by := s.Actions[i].Approve.By
	if len(by) == 0 {
		return fault.InvalidField(at+".by", "who may approve? expected validation, validation:NAME, user:NAME, group:NAME or anyone")
	}
	if s.Actions[i].Retries > 0 {
		return fault.InvalidField(at, "an approval is not tried again by itself: leave out retries")
	}
	for _, who := range by {
		kind, name, named := strings.Cut(who, ":")
		switch {
		case kind == "anyone" && !named:
		case kind == "user" && name != "":
		case kind == "group" && name != "":
			if p.Groups[name] == nil {
				return fault.InvalidField(at+".by", "there is no group %q: spec.groups says who is in it", name)
			}
		case kind == "validation" && (name != "" || !named):
			if len(s.judges(i, name)) == 0 {
				return fault.InvalidField(at+".by", "%s: there is no such validate action before it in stage %q", who, s.Name)
			}
		default:
			return fault.InvalidField(at+".by", "%q: expected validation, validation:NAME, user:NAME, group:NAME or anyone", who)
		}
	}
	return nil
}

// judges returns the indexes of the validate actions before action i: all of
// them, or the one of the name.
func (s *Stage) judges(i int, name string) []int {
	var out []int
	for j := range s.Actions[:i] {
		if s.Actions[j].Validate != nil && (name == "" || s.Actions[j].Name == name) {
			out = append(out, j)
		}
	}
	return out
}

// decidedBy returns the validate actions whose verdicts approve action i.
func (s *Stage) decidedBy(i int) []int {
	var out []int
	for _, who := range s.Actions[i].Approve.By {
		if kind, name, _ := strings.Cut(who, ":"); kind == "validation" {
			out = append(out, s.judges(i, name)...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// deferred reports whether the verdict of validate action i is awaited by a
// later approval, and not by the action itself.
func (s *Stage) deferred(i int) bool {
	if s.Actions[i].Validate == nil {
		return false
	}
	for j := i + 1; j < len(s.Actions); j++ {
		if s.Actions[j].Approve != nil && slices.Contains(s.decidedBy(j), i) {
			return true
		}
	}
	return false
}

// timeout of one attempt of an action.
func (p *Pipeline) timeout(a *Action) time.Duration {
	if a.Timeout > 0 {
		return a.Timeout
	}
	switch a.Kind() {
	case KindDeploy:
		app := p.app(a.Deploy)
		return app.Check.Within + 2*app.Grace + deployMargin
	case KindLoadTest:
		return loadTestTimeout
	case KindValidate:
		return a.Validate.In + a.Validate.Next + verdictMargin
	case KindApprove:
		return approveTimeout
	case KindCommand:
		return commandTimeout
	}
	return shortTimeout
}

// within puts the path before the field that an error names.
func within(path string, err error) error {
	f, ok := err.(*fault.Error)
	if !ok {
		return err
	}
	return &fault.Error{Kind: f.Kind, Field: path + "." + f.Field, Err: f.Err}
}
