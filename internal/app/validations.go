package app

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/tidegate-io/tidegate/delivery/signature"
	"github.com/tidegate-io/tidegate/delivery/validation"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/internal/httpapi"
	"github.com/tidegate-io/tidegate/internal/manifest"
	"github.com/tidegate-io/tidegate/internal/report"
	"github.com/tidegate-io/tidegate/internal/tsdb"
	"github.com/tidegate-io/tidegate/judge"
	"github.com/tidegate-io/tidegate/telemetry"
)

// openComparisons wires what judges environments against each other.
func (a *App) openComparisons(context.Context) (err error) {
	sampler, err := a.openSampler()
	if err != nil {
		return err
	}
	a.comparisons, err = validation.New(validation.Config{
		Store: a.db.Comparisons(), Signatures: a.catalog, Entities: a.entities, Sampler: sampler,
		Relations: relations{a.metrics}, Recorder: a.changes, Owner: a.owner(), Logger: a.log.With("part", "comparisons"),
		Notify: func(v validation.Validation) {
			a.stream.Publish("comparison", map[string]any{"id": v.ID, "pipeline": v.Pipeline, "comparison": v.Comparison, "status": v.Status})
		},
	})
	return err
}

// Signatures implements validation.Signatures.
func (c *catalog) Signatures() []signature.Signature {
	shared := map[string]string{}
	for _, e := range c.entries("Environment") {
		shared[e.Name()] = e.Spec.(*manifest.Environment).Selector
	}
	var out []signature.Signature
	for _, e := range c.entries("PerformanceSignature") {
		all, err := e.Spec.(*manifest.PerformanceSignature).Definitions(e.Name(), shared)
		if err == nil { // it was checked when it was applied
			out = append(out, all...)
		}
	}
	return out
}

// Rules are the tag and naming rules in force.
func (c *catalog) Rules() entity.Rules {
	var sets []entity.Rules
	for _, e := range c.entries("EntityRules") {
		if r, err := e.Spec.(*manifest.EntityRules).Definition(); err == nil { // checked when it was applied
			sets = append(sets, r)
		}
	}
	return entity.Join(sets...)
}

// relations counts in the service graph and in the inventory of instances.
type relations struct{ metrics *tsdb.DB }

// Relation implements validation.Relations.
func (r relations) Relation(ctx context.Context, m signature.Measure, of entity.Ref, w validation.Window) (judge.Sample, []string, error) {
	if m == signature.RunsOn {
		return r.instances(ctx, of, w)
	}
	self, other := telemetry.LabelClient, telemetry.LabelServer
	if m == signature.CalledBy {
		self, other = other, self
	}
	selector := telemetry.MetricGraphRequests + matchers(self, of.Service, telemetry.LabelEnvironment, of.Environment)
	query := fmt.Sprintf("count(sum by (%s) (increase(%s[%ds] @ %d)) > 0)", other, selector, int(w.Length().Seconds()), w.To.Unix())
	increases, err := r.metrics.Increases(ctx, selector, w.From, w.To)
	if err != nil {
		return judge.Sample{Kind: judge.Value, Err: err.Error()}, []string{query}, ctx.Err()
	}
	found := map[string]bool{}
	for _, i := range increases {
		found[i.Labels[other]] = true
	}
	// No call at all is a count: zero, of a service that is known to be there.
	return single(float64(len(found)), w), []string{query}, nil
}

// instances counts on how many instances a service ran at the end of a window.
func (r relations) instances(ctx context.Context, of entity.Ref, w validation.Window) (judge.Sample, []string, error) {
	pairs := []string{telemetry.LabelService, of.Service, telemetry.LabelEnvironment, of.Environment, telemetry.LabelVersion, of.Version}
	query := fmt.Sprintf("sum(last_over_time(%s%s[%ds] @ %d))", metricInstances, matchers(pairs...), 2*int(countInstancesEvery.Seconds()), w.To.Unix())
	m, err := r.metrics.Query(ctx, query, w.To)
	switch {
	case err != nil:
		return judge.Sample{Kind: judge.Value, Err: err.Error()}, []string{query}, ctx.Err()
	case len(m) == 0 || len(m[0].Floats) == 0:
		return judge.Sample{Kind: judge.Value}, []string{query}, nil
	}
	return single(m[0].Floats[0].F, w), []string{query}, nil
}

func single(v float64, w validation.Window) judge.Sample {
	return judge.Sample{Kind: judge.Value, Slices: []judge.Slice{{Seconds: w.Length().Seconds(), Value: judge.Number(v)}}}
}

// matchers writes equality matchers of those that have a value.
func matchers(pairs ...string) string {
	var out []string
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			out = append(out, pairs[i]+"="+strconv.Quote(pairs[i+1]))
		}
	}
	return "{" + strings.Join(out, ",") + "}"
}

// Instances are counted from what their telemetry says of itself
// (service.instance.id, k8s.pod.name or container.id): an instance runs until
// nothing was heard of it for instanceSilence.
const (
	metricInstances     = "tidegate_service_instances"
	countInstancesEvery = 10 * time.Second
	instanceSilence     = time.Minute
)

// countInstances writes the number of instances of each service until ctx
// ends.
func (a *App) countInstances(ctx context.Context) error {
	tick := time.NewTicker(countInstancesEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			if err := a.writeInstances(ctx, now); err != nil && ctx.Err() == nil {
				a.log.ErrorContext(ctx, "counting instances", "error", err)
			}
		}
	}
}

func (a *App) writeInstances(ctx context.Context, now time.Time) error {
	count := map[entity.Ref]int{}
	for _, e := range a.entities.seenSince(now.Add(-instanceSilence)) {
		if e.Type == entity.TypeProcess {
			count[e.Ref]++
		}
	}
	if len(count) == 0 {
		return nil
	}
	app := a.metrics.Appender(ctx)
	for ref, n := range count {
		b := labels.NewScratchBuilder(4)
		b.Add(model.MetricNameLabel, metricInstances)
		for _, l := range [][2]string{{telemetry.LabelService, ref.Service}, {telemetry.LabelEnvironment, ref.Environment}, {telemetry.LabelVersion, ref.Version}} {
			if l[1] != "" {
				b.Add(l[0], l[1])
			}
		}
		b.Sort()
		if _, err := app.Append(0, b.Labels(), 0, now.UnixMilli(), float64(n), nil, nil, storage.AOptions{MetricFamilyName: metricInstances}); err != nil {
			return fmt.Errorf("%w (%v)", err, app.Rollback())
		}
	}
	return app.Commit()
}

// comparisonAPI shows comparisons to the API.
type comparisonAPI struct {
	*validation.Service
	app *App
}

// Signatures implements httpapi.Comparisons.
func (c comparisonAPI) Signatures() []signature.Signature { return c.app.catalog.Signatures() }

// Entities implements httpapi.Comparisons.
func (c comparisonAPI) Entities(ctx context.Context) ([]entity.Entity, error) {
	return c.app.entities.Entities(ctx)
}

// Preview implements httpapi.Comparisons: what the rules of a file, or those
// in force when there is none, do to what was seen.
func (c comparisonAPI) Preview(_ context.Context, yaml []byte) ([]httpapi.RulePreview, error) {
	sets, err := c.ruleSets(yaml)
	if err != nil {
		return nil, err
	}
	var out []httpapi.RulePreview
	for _, set := range sets {
		for _, e := range c.app.entities.raw() {
			shown, effects := set.rules.Apply(e)
			for _, f := range effects {
				out = append(out, httpapi.RulePreview{Set: set.name, Effect: f, Entity: shown})
			}
		}
	}
	return out, nil
}

type ruleSet struct {
	name  string
	rules entity.Rules
}

func (c comparisonAPI) ruleSets(yaml []byte) ([]ruleSet, error) {
	var specs []manifest.Object
	if len(bytes.TrimSpace(yaml)) == 0 {
		for _, e := range c.app.catalog.entries("EntityRules") {
			specs = append(specs, e.Object)
		}
	} else {
		var err error
		if specs, err = manifest.Parse("rules", yaml, parseOptions); err != nil {
			return nil, placed(err)
		}
	}
	var out []ruleSet
	for _, o := range specs {
		spec, ok := o.Spec.(*manifest.EntityRules)
		if !ok {
			continue
		}
		rules, err := spec.Definition()
		if err != nil {
			return nil, err
		}
		out = append(out, ruleSet{o.Name(), rules})
	}
	if len(out) == 0 && len(yaml) > 0 {
		return nil, fault.Invalid("no EntityRules in the file")
	}
	return out, nil
}

// BuildReport implements httpapi.Comparisons.
func (c comparisonAPI) BuildReport(ctx context.Context, q validation.ReportQuery, format string) ([]byte, string, error) {
	r, err := c.Report(ctx, q)
	if err != nil {
		return nil, "", err
	}
	var buf bytes.Buffer
	contentType, err := report.RenderBuilds(&buf, format, r, c.app.cfg.URL)
	return buf.Bytes(), contentType, err
}
