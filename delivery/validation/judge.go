package validation

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/tidegate-io/tidegate/delivery/signature"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/judge"
)

// maxEntities bounds how many entities of one environment are read.
const maxEntities = 50

// concurrentReads bounds the queries of one validation.
const concurrentReads = 4

// judge finds the entities, reads both sides and holds them against each other.
func (s *Service) judge(ctx context.Context, v *Validation) error {
	known, err := s.cfg.Entities.Entities(ctx)
	if err != nil {
		return fmt.Errorf("entities: %w", err)
	}
	var results []signature.Result
	v.Sides = nil
	for i := range v.Signatures {
		sig := &v.Signatures[i]
		c := sig.Comparisons[0]
		side, err := v.side(sig, c, known)
		if err != nil {
			return err
		}
		v.Sides = append(v.Sides, side)
		if len(side.SourceEntities) == 0 {
			v.Status, v.Results = StatusInconclusive, nil
			v.Summary = side.nobody(sig, v)
			return nil
		}
		if err := side.apart(); err != nil {
			return err
		}
		pairs, err := s.read(ctx, sig, c, side)
		if err != nil {
			return err
		}
		results = append(results, sig.Evaluate(c, pairs)...)
	}
	v.settle(results)
	return nil
}

// side finds what the comparison is about.
func (v *Validation) side(sig *signature.Signature, c signature.Comparison, known []entity.Entity) (Side, error) {
	out := Side{
		Signature: sig.Name, Source: c.Source, SourceWindow: v.Window.Shifted(c.ShiftSource),
		Compare: c.Compare, CompareWindow: v.Window.Shifted(c.ShiftCompare),
		SourceEntities: []entity.Ref{}, CompareEntities: []entity.Ref{},
	}
	source, err := members(sig, c.Source, known, v.Service)
	if err != nil {
		return out, err
	}
	out.SourceEntities = source
	if v.Version != "" {
		out.SourceEntities = onlyVersion(source, v.Version)
	}
	if c.Compare != "" {
		out.CompareEntities, err = members(sig, c.Compare, known, v.Service)
	}
	return out, err
}

// members returns the distinct services of an environment. Versions are told
// apart only where the selector does: a signature is about a service, whatever
// version of it answers.
func members(sig *signature.Signature, environment string, known []entity.Entity, service string) ([]entity.Ref, error) {
	env, err := sig.Environment(environment)
	if err != nil {
		return nil, err
	}
	sel, err := entity.ParseSelector(env.Selector)
	if err != nil {
		return nil, err
	}
	pinned := sel.Ref().Version
	out := []entity.Ref{}
	for _, e := range known {
		if e.Type != sig.Type || service != "" && e.Service != service || !sel.Matches(e) {
			continue
		}
		ref := entity.Ref{Service: e.Service, Environment: e.Environment, Version: pinned}
		if !slices.Contains(out, ref) {
			out = append(out, ref)
		}
	}
	slices.SortFunc(out, func(a, b entity.Ref) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Environment, b.Environment))
	})
	if len(out) > maxEntities {
		return nil, fault.Invalid("environment %q of signature %q holds %d services, at most %d can be compared: narrow its selector %s",
			environment, sig.Name, len(out), maxEntities, env.Selector)
	}
	return out, nil
}

func onlyVersion(refs []entity.Ref, version string) []entity.Ref {
	out := make([]entity.Ref, len(refs))
	for i, r := range refs {
		r.Version = version
		out[i] = r
	}
	return out
}

// nobody says that there is nothing to judge.
func (s Side) nobody(sig *signature.Signature, v *Validation) string {
	env, _ := sig.Environment(s.Source)
	text := fmt.Sprintf("Nothing to judge: no entity is in environment %q of signature %q (%s", s.Source, sig.Name, env.Selector)
	if v.Service != "" {
		text += ", service " + v.Service
	}
	return text + ")."
}

// apart refuses sides that are the same telemetry: tags may tell environments
// apart that the metrics do not.
func (s Side) apart() error {
	if s.Compare == "" || s.SourceWindow != s.CompareWindow {
		return nil
	}
	for _, r := range s.SourceEntities {
		if slices.Contains(s.CompareEntities, r) {
			return fault.Invalid("%s is in %s and in %s: its telemetry would be compared with itself; let it carry deployment.environment.name",
				r, s.Source, s.Compare)
		}
	}
	return nil
}

// read reads every metric on both sides.
func (s *Service) read(ctx context.Context, sig *signature.Signature, c signature.Comparison, side Side) ([]signature.Pair, error) {
	pairs := make([]signature.Pair, len(sig.Metrics))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(concurrentReads)
	for i, m := range sig.Metrics {
		g.Go(func() (err error) {
			pairs[i].Source, err = s.reading(ctx, m, side.SourceEntities, side.SourceWindow)
			return err
		})
		if c.Compare == "" {
			continue
		}
		pairs[i].Compare = new(signature.Reading)
		g.Go(func() (err error) {
			*pairs[i].Compare, err = s.reading(ctx, m, side.CompareEntities, side.CompareWindow)
			return err
		})
	}
	return pairs, g.Wait()
}

// reading reads one metric of one environment.
func (s *Service) reading(ctx context.Context, m signature.Metric, of []entity.Ref, w Window) (out signature.Reading, err error) {
	defer s.caught(&err)
	out = signature.Reading{From: w.From, To: w.To, Entities: of}
	places := of
	if m.Measure == signature.PromQL && !m.Places() && len(of) > 0 {
		places = of[:1] // it names its places itself
	}
	for _, ref := range places {
		sample, queries, err := s.sample(ctx, m, ref, w)
		if err != nil {
			return out, fmt.Errorf("%s of %s: %w", m.Name(), ref, err)
		}
		out.Samples = append(out.Samples, sample)
		out.Queries = append(out.Queries, queries...)
	}
	return out, nil
}

func (s *Service) sample(ctx context.Context, m signature.Metric, ref entity.Ref, w Window) (judge.Sample, []string, error) {
	if m.Measure.Relation() {
		if s.cfg.Relations == nil {
			return judge.Sample{Err: "there is no service graph to count in"}, nil, nil
		}
		return s.cfg.Relations.Relation(ctx, m.Measure, ref, w)
	}
	span := &guardian.SpanIndicator{Operation: m.Operation}
	in := guardian.Indicator{}
	switch m.Measure {
	case signature.ResponseTime:
		in.Latency = span
	case signature.FailureRate:
		in.ErrorRate = span
	case signature.Requests:
		in.Throughput = span
	default:
		in.PromQL, in.Unit = m.Expression(ref), m.Unit
	}
	return s.cfg.Sampler.Sample(ctx, guardian.Reading{
		Indicator: in, Target: ref, Window: guardian.Window{From: w.From, To: w.To}, Slice: guardian.SliceOf(w.Length()),
	})
}
