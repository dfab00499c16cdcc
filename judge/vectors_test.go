package judge

import (
	"math"
	"testing"
)

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > tolerance {
		t.Errorf("%s = %.6g, want %.6g", what, got, want)
	}
}

func TestClopperPearsonTable(t *testing.T) {
	// 95 % limits: R's binom.test(x, n)$conf.int; the row 10 of 100 is also
	// in Clopper & Pearson's charts.
	for _, c := range []struct{ x, n, low, high float64 }{
		{0, 10, 0, 0.3084971},
		{1, 10, 0.002528579, 0.4450161},
		{5, 10, 0.1870860, 0.8129140},
		{10, 10, 0.6915029, 1},
		{10, 100, 0.0490047, 0.1762226},
		{0, 600, 0, 0.006129},
	} {
		lo, hi := clopperPearson(c.x, c.n, 0.025)
		near(t, "low", lo, c.low, 1e-5)
		near(t, "high", hi, c.high, 1e-5)
	}
}

func TestGarwoodTable(t *testing.T) {
	// 95 % limits of a Poisson mean: R's poisson.test(x)$conf.int.
	for _, c := range []struct{ x, low, high float64 }{
		{0, 0, 3.688879}, {1, 0.02531781, 5.571643}, {10, 4.795389, 18.39036}, {100, 81.36399, 121.6270},
	} {
		lo, hi := garwood(c.x, 0.025)
		near(t, "low", lo, c.low, 1e-3)
		near(t, "high", hi, c.high, 1e-3)
	}
}

func TestManyCountsJoinTheExactLimits(t *testing.T) {
	for _, shape := range []float64{3, 2e3} {
		exact := betaQuantile(0.01, shape, manyCounts*0.999-shape)
		limit := betaQuantile(0.01, shape, manyCounts*1.001-shape)
		near(t, "beta quantile across the boundary", limit/exact, 1, 0.01)
	}
	near(t, "gamma quantile across the boundary", gammaQuantile(0.01, manyCounts*1.001)/gammaQuantile(0.01, manyCounts*0.999), 1.002, 1e-4)
	near(t, "beta CDF across the boundary",
		zQuantile(betaCDF(0.0005-2e-7*2, manyCounts*0.0005, manyCounts*1.001)), zQuantile(betaCDF(0.0005-2e-7*2, manyCounts*0.0005, manyCounts*0.999)), 0.2)
}

func TestStudentTable(t *testing.T) {
	// qt(0.995, 4) = 4.604095, qt(0.975, 9) = 2.262157, qnorm(0.975) = 1.959964.
	near(t, "t(0.005, 4)", tQuantile(0.005, 4), 4.604095, 1e-5)
	near(t, "t(0.025, 9)", tQuantile(0.025, 9), 2.262157, 1e-5)
	near(t, "z(0.025)", zQuantile(0.025), 1.959964, 1e-5)
	near(t, "P(T4 > 4.604095)", tTail(4.604095, 4), 0.005, 1e-7)
}

func TestMillsRatio(t *testing.T) {
	// φ(z)/P(Z > z) from R: dnorm(z)/pnorm(z, lower = FALSE).
	for _, c := range []struct{ z, hazard float64 }{{-3, 0.004437839}, {0, 0.7978846}, {3, 3.283099}, {10, 10.09809}} {
		near(t, "log Mills", logMills(c.z), -math.Log(c.hazard*math.Sqrt(2*math.Pi)), 1e-6)
	}
	near(t, "log Mills, where the series begins", logMills(math.Nextafter(farOut, 0)), logMills(farOut), 1e-7)
}

func TestBetaBinomialTails(t *testing.T) {
	// Uniform prior of one request, good or bad, predicts uniformly:
	// Beta(1, 1) and n = 9 give 1/10 to each of 0 … 9.
	d := betaBinomial{n: 9, a: 1, b: 1}
	for x := range 10 {
		near(t, "upper", d.upper(float64(x)), float64(10-x)/10, 1e-9)
		near(t, "lower", d.lower(float64(x)), float64(x+1)/10, 1e-9)
	}
	// Five runs of 1,000 without an error: one or two errors in the next
	// 1,000 are no surprise at 1 %.
	d = predictBinomial(0, 5000, 1000)
	near(t, "P(X >= 1)", d.upper(1), 1-math.Exp(betaLog(0.5, 6000.5)-betaLog(0.5, 5000.5)), 1e-9)
	if p := d.upper(2); p < 0.01 {
		t.Errorf("two errors of 1,000 have p = %v", p)
	}
	if p := d.upper(10); p > 1e-4 {
		t.Errorf("ten errors of 1,000 have p = %v", p)
	}
	x := d.critical(0.01)
	near(t, "P(X >= critical)", d.upper(x), 0.01, 1e-4)
	// The normal limit joins the sum of terms.
	wide := betaBinomial{n: 1e6, a: 1e6 * 0.1, b: 1e6 * 0.9}
	x = wide.mean() + 2.5*wide.sd()
	near(t, "normal limit", zQuantile(wide.upperTail(x)), zQuantile(wide.upper(x)), 0.02)
}

func betaLog(a, b float64) float64 {
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	lab, _ := math.Lgamma(a + b)
	return la + lb - lab
}

func TestNegativeBinomialTails(t *testing.T) {
	// Equal exposures after k events: P(X = 0) = (1/2)^(k + 1/2).
	d := predictPoisson(3, 60, 60)
	near(t, "P(X <= 0)", d.lower(0), math.Pow(0.5, 3.5), 1e-9)
	near(t, "P(X >= 1)", d.upper(1), 1-math.Pow(0.5, 3.5), 1e-9)
	near(t, "P(X >= critical)", d.upper(d.criticalUpper(0.01)), 0.01, 1e-4)
	d = predictPoisson(3000, 300, 60)
	near(t, "P(X <= critical)", d.lower(d.criticalLower(0.01)), 0.01, 1e-4)
}

func TestComparisonOfProportionsAgreesWithPublishedOnes(t *testing.T) {
	// R's prop.test(c(83, 129), c(86, 136)): no difference.
	zero := 0.0
	compare := func(x, n, bx, bn float64) Result {
		o := Objective{Comparison: &Comparison{Tolerance: &zero, Margin: &zero}}
		base := Sample{Kind: Ratio, Slices: []Slice{{Seconds: 60, Bad: bx, Total: bn}}}
		s := Sample{Kind: Ratio, Slices: []Slice{{Seconds: 60, Bad: x, Total: n}}}
		return Judge(Options{}, []Input{{Objective: o, Sample: s, Baseline: &base}}).Results[0]
	}
	if r := compare(83, 86, 129, 136); r.PValue < 0.1 {
		t.Errorf("83/86 against 129/136: p = %v", r.PValue)
	}
	// One-sided p-values: of the score test, prop.test(correct = FALSE), which
	// is too small for few events, and of fisher.test, the exact one. Exact
	// limits for each side can only be more careful than the former, and should
	// be about as careful as the latter.
	for _, c := range []struct{ x, n, bx, bn, score, fisher float64 }{
		{83, 86, 70, 82, 0.005664480, 0.010706443},
		{15, 100, 5, 100, 0.009211063, 0.015860020},
		{30, 1000, 12, 1000, 0.002499555, 0.003643977},
	} {
		if p := float64(compare(c.x, c.n, c.bx, c.bn).PValue); p < c.score || p > 1.5*c.fisher {
			t.Errorf("%v/%v against %v/%v: p = %v, score test %v, exact %v", c.x, c.n, c.bx, c.bn, p, c.score, c.fisher)
		}
	}
	if r := compare(590, 1180, 1, 1180); r.Status != StatusFail {
		t.Errorf("half against almost none: %s", r.Why)
	}
}

func TestQuantileIntervalAgreesWithOrderStatistics(t *testing.T) {
	// For n = 100 and the median the 95 % interval of order statistics is from
	// the 40th to the 61st (Hahn & Meeker, table A.15a); in buckets of one
	// value each that is exactly the ranks.
	h := &Histogram{Schema: 3}
	for i := range 100 {
		h.Buckets = append(h.Buckets, Bucket{i, 1})
	}
	s := Sample{Kind: Distribution, Slices: []Slice{{Seconds: 60, Histogram: h}}}
	r := Judge(Options{}, []Input{{Objective: Objective{Quantile: 0.5}, Sample: s}}).Results[0]
	rank := func(v Number) float64 { return math.Log2(float64(v))*8 + 1 }
	near(t, "low rank", rank(r.Low), 40, 1)
	near(t, "rank", rank(r.Estimate), 50, 0.01)
	near(t, "high rank", rank(r.High), 61, 1)
}

func TestLongRunVarianceOfAR1(t *testing.T) {
	// The long-run variance of x(t) = ρ·x(t−1) + e is 1/(1−ρ)².
	for _, rho := range []float64{0, 0.3, 0.7} {
		var sum float64
		const repeats, n = 200, 200
		rng := newRand(7)
		for range repeats {
			xs := make([]float64, n)
			x := rng.NormFloat64() / math.Sqrt(1-rho*rho)
			for i := range xs {
				x = rho*x + rng.NormFloat64()
				xs[i] = x
			}
			sum += longRunVariance(xs).variance
		}
		near(t, "long-run variance, relative", sum/repeats*(1-rho)*(1-rho), 1, 0.25)
	}
}

func TestDriftIsReported(t *testing.T) {
	o := Objective{Name: "latency", Worse: WorseHigher, Quantile: 0.95, Adaptive: &Adaptive{}}
	var slow, steady []Run
	for i := range 12 {
		slow = append(slow, Run{Kind: Distribution, Estimate: Number(0.1 * math.Pow(1.02, float64(i))), N: 1000, Seconds: 60, StdErr: 0.02, Inflation: 1})
		steady = append(steady, Run{Kind: Distribution, Estimate: Number(0.1 * (1 + 0.02*float64(i%3))), N: 1000, Seconds: 60, StdErr: 0.02, Inflation: 1})
	}
	judgeWith := func(runs []Run) Result {
		return Judge(Options{}, []Input{{Objective: o, Sample: minute(Distribution, 1200, 0, 0.11), History: runs}}).Results[0]
	}
	if r := judgeWith(slow); len(r.Notes) != 1 {
		t.Errorf("a drift of 24 %% has the notes %q", r.Notes)
	}
	if r := judgeWith(steady); len(r.Notes) != 0 {
		t.Errorf("steady runs have the notes %q", r.Notes)
	}
}

func TestShapeThatAQuantileHides(t *testing.T) {
	// Kayenta's blind spot: 7 of 10 points at a hundred times the value.
	value := func(points ...float64) Sample {
		s := Sample{Kind: Value}
		for _, p := range points {
			s.Slices = append(s.Slices, Slice{Seconds: 60, Value: Number(p)})
		}
		return s
	}
	base := value(1, 1.1, 0.9, 1, 1.2, 1, 0.8, 1.1, 1, 0.95)
	o := Objective{Name: "queue", Worse: WorseHigher, Comparison: &Comparison{}}
	r := Judge(Options{}, []Input{{Objective: o, Sample: value(100, 1, 110, 90, 1, 100, 120, 1, 95, 105), Baseline: &base}}).Results[0]
	if len(r.Notes) == 0 || r.Status == StatusPass {
		t.Errorf("%s with the notes %q", r.Status, r.Notes)
	}
	// A mode of 3 % at ten times the latency leaves the median where it was.
	fast, mixed := minute(Distribution, 12000, 0, 0.1), minute(Distribution, 12000, 0, 0.1)
	for i := range mixed.Slices {
		h := mixed.Slices[i].Histogram
		h.Buckets[0].Count -= 12
		h.Buckets = append(h.Buckets, Bucket{h.Buckets[3].Index + 27, 12})
	}
	o = Objective{Quantile: 0.5, Worse: WorseHigher, Comparison: &Comparison{}}
	r = Judge(Options{}, []Input{{Objective: o, Sample: mixed, Baseline: &fast}}).Results[0]
	if r.Status != StatusWarn || len(r.Notes) != 1 {
		t.Errorf("%s: %s %q", r.Status, r.Why, r.Notes)
	}
	// Errors that only the candidate has.
	clean, bad := minute(Ratio, 12000, 0, 0), minute(Ratio, 12000, 30, 0)
	r = Judge(Options{}, []Input{{Objective: Objective{Comparison: &Comparison{}}, Sample: bad, Baseline: &clean}}).Results[0]
	if r.Status != StatusWarn || len(r.Notes) != 1 {
		t.Errorf("%s: %s %q", r.Status, r.Why, r.Notes)
	}
}

// fixedP is a test with a known p-value.
type fixedP float64

func (p fixedP) pValue() float64 { return float64(p) }
func (fixedP) settle(res *Result, _ float64, rejected, _ bool) {
	if res.Status = StatusPass; rejected {
		res.Status = StatusFail
	}
}

func TestHolmAdjustsAsPublished(t *testing.T) {
	// R's p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") = 0.03 0.06 0.06 0.02.
	var list []*assessment
	for _, p := range []float64{0.01, 0.04, 0.03, 0.005} {
		list = append(list, &assessment{test: fixedP(p)})
	}
	settle(list, 0.05)
	for i, want := range []float64{0.03, 0.06, 0.06, 0.02} {
		r := list[i].result
		near(t, "adjusted p", float64(r.PValue), want, 1e-12)
		if (r.Status == StatusFail) != (want <= 0.05) {
			t.Errorf("adjusted p %v: %s", want, r.Status)
		}
	}
}
