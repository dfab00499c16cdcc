package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/flag"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/internal/httpapi"
	"github.com/tidegate-io/tidegate/internal/manifest"
	"github.com/tidegate-io/tidegate/internal/state"
	"github.com/tidegate-io/tidegate/loadtest"
	"github.com/tidegate-io/tidegate/notify"
	"github.com/tidegate-io/tidegate/workflow"
)

// manifestStore keeps the manifests in force.
type manifestStore interface {
	Put(ctx context.Context, ms ...state.Manifest) ([]state.Change, error)
	Delete(ctx context.Context, kind, name string) error
	List(ctx context.Context, kind string) ([]state.Manifest, error)
}

// catalog is the configuration in force: what was applied, in memory as
// definitions and in the state store as it was written. Reads never wait for
// writes. Safe for concurrent use.
type catalog struct {
	store   manifestStore
	now     func() time.Time
	changed func(ctx context.Context) error // puts flag sets and channels into force

	// writing is held from the look at what there is until a change is in
	// force, so that memory, store and what is in force have one order.
	writing sync.Mutex
	mu      sync.RWMutex     // guards objects
	objects map[string]entry // by "Kind/name"
}

// entry is one object in force.
type entry struct {
	manifest.Object
	since time.Time // when it was applied in this form

	guardian *guardian.Guardian
	workflow *workflow.Workflow
	loadTest *loadtest.Test
}

func newCatalog(store manifestStore, now func() time.Time) *catalog {
	return &catalog{store: store, now: now, objects: map[string]entry{}}
}

// parseOptions let manifests use the server's environment, except what
// configures the server itself.
var parseOptions = manifest.Options{Env: func(name string) (string, bool) {
	if strings.HasPrefix(name, "TIDEGATE_") {
		return "", false
	}
	return os.LookupEnv(name)
}}

func newEntry(o manifest.Object, since time.Time) entry {
	e := entry{Object: o, since: since}
	switch s := o.Spec.(type) {
	case *manifest.Guardian:
		g := s.Definition(o.Name(), o.Metadata.Labels).WithDefaults()
		e.guardian = &g
	case *manifest.Workflow:
		e.workflow = s.Definition(o.Name(), o.Metadata.Labels)
		e.workflow.Since = since
	case *manifest.LoadTest:
		e.loadTest = s.Definition(o.Name(), o.Metadata.Labels)
	}
	return e
}

// load reads what was in force when the process ended. An object that no
// longer parses (an environment variable is gone) is reported and left out.
func (c *catalog) load(ctx context.Context) (problems []error, err error) {
	stored, err := c.store.List(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("manifests: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range stored {
		objects, err := manifest.Parse(m.Source, []byte(m.YAML), parseOptions)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s/%s is not in force: %w", m.Kind, m.Name, err))
			continue
		}
		for _, o := range objects {
			c.objects[o.ID()] = newEntry(o, m.Updated)
		}
	}
	return problems, nil
}

// Apply implements httpapi.Manifests.
func (c *catalog) Apply(ctx context.Context, source string, yaml []byte, dryRun bool) ([]httpapi.Applied, error) {
	objects, err := manifest.Parse(source, yaml, parseOptions)
	if err != nil {
		return nil, placed(err)
	}
	if len(objects) == 0 {
		return nil, fault.Invalid("%s: no manifest in it", source)
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	if !dryRun { // what is missing may be in the next file
		if err := c.checkReferences(objects); err != nil {
			return nil, err
		}
	}
	var (
		out   []httpapi.Applied
		fresh []entry
		write []state.Manifest
		now   = c.now()
	)
	c.mu.RLock()
	for _, o := range objects {
		action := "created"
		if old, ok := c.objects[o.ID()]; ok {
			action = "changed"
			if old.YAML == o.YAML {
				action = "unchanged"
			}
		}
		out = append(out, httpapi.Applied{Kind: o.Kind, Name: o.Name(), Action: action})
		if action != "unchanged" {
			fresh = append(fresh, newEntry(o, now))
			write = append(write, state.Manifest{Kind: o.Kind, Name: o.Name(), YAML: o.YAML, Source: source, Updated: now})
		}
	}
	c.mu.RUnlock()
	if dryRun || len(write) == 0 {
		return out, nil
	}
	if _, err := c.store.Put(ctx, write...); err != nil {
		return nil, fmt.Errorf("manifests: %w", err)
	}
	c.mu.Lock()
	for _, e := range fresh {
		c.objects[e.ID()] = e
	}
	c.mu.Unlock()
	return out, c.putInForce(ctx)
}

// putInForce is done whether or not the caller still waits: the change is stored.
func (c *catalog) putInForce(ctx context.Context) error {
	return c.changed(context.WithoutCancel(ctx))
}

// checkReferences reports names that neither exist nor come along.
func (c *catalog) checkReferences(objects []manifest.Object) error {
	has := func(id string) bool {
		c.mu.RLock()
		defer c.mu.RUnlock()
		_, ok := c.objects[id]
		return ok || slices.ContainsFunc(objects, func(o manifest.Object) bool { return o.ID() == id })
	}
	for _, o := range objects {
		if p, ok := o.Spec.(*manifest.AlertingProfile); ok {
			for i, name := range p.Channels {
				if !has("NotificationChannel/" + name) {
					return fault.InvalidField(fmt.Sprintf("spec.channels[%d]", i),
						"%s: there is no notification channel %q: apply it before, or in the same file", o.ID(), name)
				}
			}
		}
		if r, ok := o.Spec.(*manifest.Remediation); ok {
			if err := checkRemediation(o.ID(), r, has); err != nil {
				return err
			}
		}
		if p, ok := o.Spec.(*manifest.Pipeline); ok {
			if err := checkPipeline(o.ID(), p, has); err != nil {
				return err
			}
		}
		w, ok := o.Spec.(*manifest.Workflow)
		if !ok {
			continue
		}
		for i, s := range w.Steps {
			if s.Validate != nil && !has("Guardian/"+s.Validate.Guardian) {
				return fault.InvalidField(fmt.Sprintf("spec.steps[%d].validate.guardian", i),
					"%s: there is no guardian %q: apply it before, or in the same file", o.ID(), s.Validate.Guardian)
			}
			if s.Notify != nil && !has("NotificationChannel/"+s.Notify.Channel) {
				return fault.InvalidField(fmt.Sprintf("spec.steps[%d].notify.channel", i),
					"%s: there is no notification channel %q: apply it before, or in the same file", o.ID(), s.Notify.Channel)
			}
		}
	}
	return nil
}

// Delete implements httpapi.Manifests.
func (c *catalog) Delete(ctx context.Context, kind, name string) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	id := kind + "/" + name
	c.mu.RLock()
	_, ok := c.objects[id]
	c.mu.RUnlock()
	if !ok {
		return fault.NotFound("no %s %q", kind, name)
	}
	if err := c.store.Delete(ctx, kind, name); err != nil {
		return fmt.Errorf("manifests: %w", err)
	}
	c.mu.Lock()
	delete(c.objects, id)
	c.mu.Unlock()
	return c.putInForce(ctx)
}

// List implements httpapi.Manifests.
func (c *catalog) List(context.Context) ([]httpapi.ManifestItem, error) {
	var out []httpapi.ManifestItem
	for _, e := range c.entries("") {
		out = append(out, httpapi.ManifestItem{Kind: e.Kind, Name: e.Name(), Source: e.Source, YAML: e.YAML})
	}
	return out, nil
}

// Schema implements httpapi.Manifests.
func (c *catalog) Schema(kind string) ([]byte, error) { return manifest.Schema(kind) }

// entries returns the objects of a kind (all when empty), ordered by id.
func (c *catalog) entries(kind string) []entry {
	c.mu.RLock()
	defer c.mu.RUnlock()
	out := make([]entry, 0, len(c.objects))
	for _, e := range c.objects {
		if kind == "" || e.Kind == kind {
			out = append(out, e)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].ID() < out[j].ID() })
	return out
}

func (c *catalog) entry(kind, name string) (entry, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	e, ok := c.objects[kind+"/"+name]
	return e, ok
}

// Guardians implements guardian.Definitions.
func (c *catalog) Guardians() []guardian.Guardian {
	var out []guardian.Guardian
	for _, e := range c.entries("Guardian") {
		out = append(out, *e.guardian)
	}
	return out
}

// Guardian implements guardian.Definitions.
func (c *catalog) Guardian(name string) (guardian.Guardian, bool) {
	e, ok := c.entry("Guardian", name)
	if !ok {
		return guardian.Guardian{}, false
	}
	return *e.guardian, true
}

// Workflows returns the definitions.
func (c *catalog) Workflows() []workflow.Workflow {
	var out []workflow.Workflow
	for _, e := range c.entries("Workflow") {
		out = append(out, *e.workflow)
	}
	return out
}

// LoadTests returns the definitions.
func (c *catalog) LoadTests() []loadtest.Test {
	var out []loadtest.Test
	for _, e := range c.entries("LoadTest") {
		out = append(out, *e.loadTest)
	}
	return out
}

// FlagSources returns where flag definitions come from.
func (c *catalog) FlagSources() ([]flag.Source, error) {
	var out []flag.Source
	for _, e := range c.entries("FlagSet") {
		s := e.Spec.(*manifest.FlagSet)
		var place entity.Ref
		if s.Target != nil {
			place = entity.Ref{Service: s.Target.Service, Environment: s.Target.Environment}
		}
		if len(s.Flags) > 0 {
			doc, err := s.FlagdJSON()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", e.ID(), err)
			}
			out = append(out, flag.Source{Document: doc, Set: e.Name(), Place: place})
		}
		for _, f := range s.Files {
			src := flag.Source{Path: f, Place: place}
			if len(s.Files) == 1 {
				src.Set = e.Name()
			}
			out = append(out, src)
		}
	}
	return out, nil
}

// Channels returns the notification channels.
func (c *catalog) Channels() []notify.Channel {
	var out []notify.Channel
	for _, e := range c.entries("NotificationChannel") {
		ch := e.Spec.(*manifest.NotificationChannel).Definition(e.Name(), e.Metadata.Labels)
		ch.Since = e.since
		out = append(out, ch)
	}
	return out
}

// placedErrors is manifest.Errors as the API shows them.
type placedErrors struct{ manifest.Errors }

// Places implements httpapi.Places.
func (p placedErrors) Places() [][2]string {
	out := make([][2]string, len(p.Errors))
	for i, e := range p.Errors {
		text := e.Message
		if e.Path != "" {
			text = e.Path + ": " + text
		}
		out[i] = [2]string{fmt.Sprintf("%s:%d:%d", e.Source, e.Line, e.Column), text}
	}
	return out
}

func placed(err error) error {
	var errs manifest.Errors
	if errors.As(err, &errs) {
		return placedErrors{errs}
	}
	return err
}

// oldest returns when the oldest definition of the kinds was applied; the far
// future when there is none.
func (c *catalog) oldest(kinds ...string) time.Time {
	out := c.now().Add(100 * 365 * 24 * time.Hour)
	for _, k := range kinds {
		for _, e := range c.entries(k) {
			if e.since.Before(out) {
				out = e.since
			}
		}
	}
	return out
}
