package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"github.com/tidegate-io/tidegate/judge"
)

const trainingRuns = 5

func (b *bench) runAll() {
	b.healthyAfterTraining()
	b.unsteadyAfterTraining()
	b.healthyComparison()
	b.healthyWatch()
	b.detectableIsDetected()
	b.flagFlip()
	b.slowerByAFifth()
	b.sevenHealthyRuns()
	b.cost()
}

func (w world) name() string {
	shape := "lognormal"
	if w.bimodal {
		shape = "bimodal"
	}
	s := fmt.Sprintf("%s requests, %g %% errors, %s", thousands(w.perSecond*runSlices*sliceSeconds), w.errors*100, shape)
	if w.spread > 0 || w.wobble > 0 {
		s += fmt.Sprintf(", spread %g %%, wobble %g %% with φ %g", w.spread*100, w.wobble*100, w.rho)
	}
	return s
}

func thousands(n float64) string {
	if n >= 1000 {
		return fmt.Sprintf("%g,%03d", math.Floor(n/1000), int(n)%1000)
	}
	return fmt.Sprintf("%g", n)
}

func perRun(requests float64) float64 { return requests / (runSlices * sliceSeconds) }

// afterTraining measures how often a healthy sixth run fails, by everybody.
func (b *bench) afterTraining(scenario string, worlds []world, target float64) {
	if !b.wants(scenario) {
		return
	}
	n := b.guardians()
	var pooled int
	pooledRivals := make([]int, len(rivals))
	for _, w := range worlds {
		var failed atomic.Int64
		rivalFailed := make([]atomic.Int64, len(rivals))
		b.simulate(n, func(_ int, rng *rand.Rand) {
			var g guardian
			var past []window
			for range trainingRuns {
				run := w.once(rng, healthy)
				g.learn(g.validate(run))
				past = append(past, run)
			}
			now := w.once(rng, healthy)
			if g.validate(now).Status == judge.StatusFail {
				failed.Add(1)
			}
			st := tell(past, now)
			for i, r := range rivals {
				if r.fails(st) {
					rivalFailed[i].Add(1)
				}
			}
		})
		pooled += int(failed.Load())
		b.rate(scenario, w.name(), ours, "healthy failed", int(failed.Load()), n, "<=", target)
		for i := range rivals {
			pooledRivals[i] += int(rivalFailed[i].Load())
		}
	}
	b.rate(scenario, "all of these", ours, "healthy failed", pooled, n*len(worlds), "<=", target)
	for i, r := range rivals {
		b.rate(scenario, "all of these", r.name, "healthy failed", pooledRivals[i], n*len(worlds), "", 0)
	}
}

// healthyAfterTraining: steady services from tiny to large.
func (b *bench) healthyAfterTraining() {
	var worlds []world
	for _, requests := range []float64{20, 100, 1_200, 10_000, 100_000} {
		for _, errors := range []float64{0, 0.001, 0.02} {
			for _, bimodal := range []bool{false, true} {
				worlds = append(worlds, world{perSecond: perRun(requests), errors: errors, bimodal: bimodal})
			}
		}
	}
	b.afterTraining("A/A after five runs", worlds, 0.01)
}

// unsteadyAfterTraining: runs differ, and so do neighbouring slices.
func (b *bench) unsteadyAfterTraining() {
	var worlds []world
	for _, requests := range []float64{100, 1_200, 100_000} {
		for _, spread := range []float64{0.05, 0.1} {
			for _, rho := range []float64{0.3, 0.7} {
				worlds = append(worlds, world{perSecond: perRun(requests), errors: 0.01, bimodal: rho == 0.7, spread: spread, wobble: spread, rho: rho})
			}
		}
	}
	b.afterTraining("A/A after five runs, run-to-run spread and autocorrelation", worlds, 0.02)
}

// healthyComparison: a candidate beside an equal baseline for a minute. With a
// wobble the two sides wobble independently.
func (b *bench) healthyComparison() {
	const scenario = "A/A comparison, candidate against baseline"
	if !b.wants(scenario) {
		return
	}
	n := b.guardians()
	for _, w := range []world{
		{perSecond: 2, errors: 0.01},
		{perSecond: 20, errors: 0.01},
		{perSecond: 20, errors: 0},
		{perSecond: 500, errors: 0.01, bimodal: true},
		{perSecond: 20, errors: 0.01, wobble: 0.1, rho: 0.3},
		{perSecond: 20, errors: 0.01, wobble: 0.1, rho: 0.7},
		{perSecond: 500, errors: 0.01, wobble: 0.1, rho: 0.7},
	} {
		target := 0.01
		if w.wobble > 0 {
			target = 0.02
		}
		failed := b.tally(n, func(rng *rand.Rand) bool {
			return against(comparison, w.once(rng, healthy), w.once(rng, healthy)).Status == judge.StatusFail
		})
		b.rate(scenario, w.name(), ours, "healthy failed", failed, n, "<=", target)
	}
}

// watchLooks is how many looks a watch gets: one after every slice.
const watchLooks = 120

// healthyWatch: an equal candidate, looked at after every slice.
func (b *bench) healthyWatch() {
	const scenario = "A/A watched at every slice (120 looks)"
	if !b.wants(scenario) {
		return
	}
	n := b.guardians()
	for _, w := range []world{
		{perSecond: 20, errors: 0.01},
		{perSecond: 500, errors: 0.01, bimodal: true},
		{perSecond: 20, errors: 0.01, wobble: 0.1, rho: 0.7},
		{perSecond: 500, errors: 0.01, wobble: 0.1, rho: 0.7},
	} {
		var failed, rival atomic.Int64
		b.simulate(n, func(_ int, rng *rand.Rand) {
			candidate, baseline := newWindow(), newWindow()
			c, base := w.start(rng), w.start(rng)
			var ofCandidate, ofBaseline metrics
			ourFail, kayenta := false, false
			for look := range watchLooks {
				c.measure(&candidate, 1, healthy)
				base.measure(&baseline, 1, healthy)
				ourFail = ourFail || against(watch, candidate, baseline).Status == judge.StatusFail
				ofCandidate.add(candidate.part(look, look+1))
				ofBaseline.add(baseline.part(look, look+1))
				if look%10 == 9 { // twelve looks, as is usual
					kayenta = kayenta || ofCandidate.worseThan(ofBaseline)
				}
			}
			if ourFail {
				failed.Add(1)
			}
			if kayenta {
				rival.Add(1)
			}
		})
		b.rate(scenario, w.name(), ours, "healthy failed", int(failed.Load()), n, "<=", 0.01)
		b.rate(scenario, w.name(), "Kayenta (12 looks)", "healthy failed", int(rival.Load()), n, "", 0)
	}
}

// detectableIsDetected: the regression that a healthy verdict said it could
// have seen is then made, and must fail.
func (b *bench) detectableIsDetected() {
	const scenario = "regression of the stated detectable size"
	if !b.wants(scenario) {
		return
	}
	n := b.guardians()
	for _, w := range []world{
		{perSecond: perRun(1_200), errors: 0.01},
		{perSecond: perRun(10_000), errors: 0.002},
		{perSecond: perRun(10_000), errors: 0.01, spread: 0.05},
	} {
		for objective, name := range []string{"p95", "error rate", "traffic"} {
			b.detectableAdaptive(scenario, w, objective, name, n)
		}
	}
	for _, w := range []world{{perSecond: 20, errors: 0.01}, {perSecond: 200, errors: 0.01}} {
		for objective, name := range []string{"p95", "error rate", "traffic"} {
			b.detectableAgainst(scenario, "comparison: ", comparison, w, objective, name, n)
			b.detectableAgainst(scenario, "watch: ", watch, w, objective, name, n)
		}
	}
}

// worsened is the condition in which the objective's true value is the
// detectable one.
func worsened(w world, objective int, detectable float64) (condition, bool) {
	if math.IsNaN(detectable) {
		return healthy, false
	}
	c := healthy
	switch objective {
	case 0:
		c.latency = detectable / w.p95()
	case 1:
		c.errors = detectable / w.errors
	case 2:
		c.traffic = detectable / w.perSecond
	}
	return c, true
}

// p95 is the true quantile of the world.
func (w world) p95() float64 {
	low, high := 0.001, 100.0
	for range 60 {
		if mid := math.Sqrt(low * high); w.cdf(mid) < 0.95 {
			low = mid
		} else {
			high = mid
		}
	}
	return low
}

func (b *bench) detectableAdaptive(scenario string, w world, objective int, name string, n int) {
	var caught, stated atomic.Int64
	b.simulate(n, func(_ int, rng *rand.Rand) {
		var g guardian
		for range trainingRuns {
			g.learn(g.validate(w.once(rng, healthy)))
		}
		v := g.validate(w.once(rng, healthy))
		c, ok := worsened(w, objective, float64(v.Results[objective].Detectable))
		if !ok {
			return
		}
		stated.Add(1)
		if g.validate(w.once(rng, c)).Results[objective].Status == judge.StatusFail {
			caught.Add(1)
		}
	})
	b.rate(scenario, "adaptive: "+w.name(), ours, name+" caught", int(caught.Load()), int(stated.Load()), ">=", 0.95)
}

func (b *bench) detectableAgainst(scenario, how string, criterion func(judge.Objective) judge.Objective, w world, objective int, name string, n int) {
	var caught, stated atomic.Int64
	b.simulate(n, func(_ int, rng *rand.Rand) {
		v := against(criterion, w.once(rng, healthy), w.once(rng, healthy))
		c, ok := worsened(w, objective, float64(v.Results[objective].Detectable))
		if !ok {
			return
		}
		stated.Add(1)
		if against(criterion, w.once(rng, c), w.once(rng, healthy)).Results[objective].Status == judge.StatusFail {
			caught.Add(1)
		}
	})
	b.rate(scenario, how+w.name(), ours, name+" caught", int(caught.Load()), int(stated.Load()), ">=", 0.95)
}

// flagFlip: after a good minute half the requests fail; how long until the
// watch says so, against Wald's sequential test that knows both error rates
// and the moment. Both look after every slice.
func (b *bench) flagFlip() {
	const scenario = "50 % errors after a flag flip at 20 requests/s"
	if !b.wants(scenario) {
		return
	}
	n := b.guardians()
	w := world{perSecond: 20, errors: 0.001}
	watched, wald := make([]float64, n), make([]float64, n)
	b.simulate(n, func(i int, rng *rand.Rand) {
		candidate, baseline := newWindow(), newWindow()
		c, base := w.start(rng), w.start(rng)
		c.measure(&candidate, runSlices, healthy)
		base.measure(&baseline, runSlices, healthy)
		watched[i], wald[i] = math.Inf(1), math.Inf(1)
		var evidence float64
		for look := 1; look <= runSlices && (math.IsInf(watched[i], 1) || math.IsInf(wald[i], 1)); look++ {
			c.measure(&candidate, 1, condition{1, 500, 1})
			base.measure(&baseline, 1, healthy)
			last := candidate.errors.Slices[len(candidate.errors.Slices)-1]
			evidence += last.Bad*math.Log(0.5/w.errors) + (last.Total-last.Bad)*math.Log(0.5/(1-w.errors))
			if math.IsInf(wald[i], 1) && evidence >= math.Log(1/0.01) {
				wald[i] = float64(look * sliceSeconds)
			}
			if math.IsInf(watched[i], 1) && against(watch, candidate, baseline).Status == judge.StatusFail {
				watched[i] = float64(look * sliceSeconds)
			}
		}
	})
	slices.Sort(watched)
	slices.Sort(wald)
	limit := percentile(wald, 0.5)
	at := func(xs []float64, p float64) float64 { return xs[int(p*float64(n-1))] }
	b.figure(scenario, w.name(), "Wald's test (knows the truth)", "median seconds to fail", n, limit, at(wald, 0.025), at(wald, 0.975), 0)
	b.figure(scenario, w.name(), ours, "median seconds to fail", n, at(watched, 0.5), medianLow(watched), at(watched, 0.975), 2*limit)
	b.figure(scenario, w.name(), "Argo/Flagger", "seconds to fail: one full interval", n, 60, 60, 60, 0)
}

// medianLow is the lower end of the median's 95 % interval (order statistics).
func medianLow(sorted []float64) float64 {
	n := float64(len(sorted))
	return sorted[max(0, int(n/2-0.98*math.Sqrt(n))-1)]
}

// slowerByAFifth: +20 % p95 on 10,000 requests.
func (b *bench) slowerByAFifth() {
	const scenario = "+20 % p95 on 10,000 requests"
	if !b.wants(scenario) {
		return
	}
	n := b.guardians()
	for _, bimodal := range []bool{false, true} {
		w := world{perSecond: perRun(10_000), errors: 0.01, bimodal: bimodal}
		slow := condition{1.2, 1, 1}
		rivalCaught := make([]atomic.Int64, len(rivals))
		adaptiveCaught := b.tally(n, func(rng *rand.Rand) bool {
			var g guardian
			var past []window
			for range trainingRuns {
				run := w.once(rng, healthy)
				g.learn(g.validate(run))
				past = append(past, run)
			}
			now := w.once(rng, slow)
			st := tell(past, now)
			for i, r := range rivals {
				if r.fails(st) {
					rivalCaught[i].Add(1)
				}
			}
			return g.validate(now).Results[0].Status == judge.StatusFail
		})
		compared := b.tally(n, func(rng *rand.Rand) bool {
			return against(comparison, w.once(rng, slow), w.once(rng, healthy)).Results[0].Status == judge.StatusFail
		})
		b.rate(scenario, w.name(), ours+", adaptive", "caught", adaptiveCaught, n, ">=", 0.99)
		b.rate(scenario, w.name(), ours+", comparison", "caught", compared, n, ">=", 0.99)
		for i, r := range rivals {
			b.rate(scenario, w.name(), r.name, "failed (caught or by accident)", int(rivalCaught[i].Load()), n, "", 0)
		}
	}
}

// sevenHealthyRuns: the first story a newcomer sees, seven good minutes of 20
// requests a second. Two of them are judged, each with α = 1 %, so at least
// 98 % of the stories must have no failed run.
func (b *bench) sevenHealthyRuns() {
	const scenario = "seven healthy one-minute runs"
	if !b.wants(scenario) {
		return
	}
	n := b.guardians()
	w := world{perSecond: 20, errors: 0, spread: 0.02, wobble: 0.05, rho: 0.3}
	var minMax atomic.Int64
	good := b.tally(n, func(rng *rand.Rand) bool {
		var g guardian
		var past []window
		ok, rivalOK := true, true
		for i := range 7 {
			run := w.once(rng, healthy)
			v := g.validate(run)
			ok = ok && v.Status != judge.StatusFail
			if v.Status != judge.StatusFail {
				g.learn(v)
			}
			if i >= trainingRuns && rivals[0].fails(tell(past, run)) {
				rivalOK = false
			}
			past = append(past, run)
		}
		if rivalOK {
			minMax.Add(1)
		}
		return ok
	})
	b.rate(scenario, w.name(), ours, "7 of 7 not failed", good, n, ">=", 0.98)
	b.rate(scenario, w.name(), rivals[0].name, "7 of 7 not failed", int(minMax.Load()), n, "", 0)
}

// cost: ten objectives, each with samples of its own, over an hour of two-second
// slices. A watch works out two e-processes over every slice besides, and has no
// target.
func (b *bench) cost() {
	const scenario = "10 objectives × 1,800 slices"
	if !b.wants(scenario) {
		return
	}
	w := world{perSecond: 20, errors: 0.01}
	rng := rand.New(rand.NewPCG(b.seed, 0))
	hour := func() window {
		out := newWindow()
		w.start(rng).measure(&out, 1800, healthy)
		return out
	}
	var g guardian
	for range trainingRuns {
		g.learn(g.validate(w.once(rng, healthy)))
	}
	var inputs []judge.Input
	for i := range 10 {
		now, base := hour(), hour()
		in := judge.Input{Objective: latencyObjective, Sample: now.latency, Baseline: &base.latency, History: g.latency}
		switch {
		case i >= 8:
			in = judge.Input{Objective: trafficObjective, Sample: now.traffic, Baseline: &base.traffic, History: g.traffic}
		case i >= 4:
			in = judge.Input{Objective: errorsObjective, Sample: now.errors, Baseline: &base.errors, History: g.errors}
		}
		inputs = append(inputs, in)
	}
	for _, c := range []struct {
		name   string
		target float64
		wrap   func(judge.Objective) judge.Objective
	}{{"threshold", 2, threshold}, {"adaptive", 2, adaptive}, {"comparison", 2, comparison}, {"watch", 0, watch}} {
		wrapped := slices.Clone(inputs)
		for i := range wrapped {
			wrapped[i].Objective = c.wrap(wrapped[i].Objective)
		}
		var took []float64
		for range 50 {
			start := cpuSeconds()
			judge.Judge(judge.Options{}, wrapped)
			took = append(took, (cpuSeconds()-start)*1e3)
		}
		slices.Sort(took)
		b.figure(scenario, "an hour, 4 latencies, 4 error rates, 2 traffics", ours+", "+c.name, "processor ms, median", len(took), percentile(took, 0.5), took[0], took[len(took)-2], c.target)
	}
}
