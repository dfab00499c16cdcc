package judge

import "sort"

// settle decides all tests together so that the probability of failing any of
// those that are fine is at most alpha (Holm 1979, Scand. J. Statist. 6(2)):
// the smallest p-value is held against alpha/m, the next against alpha/(m-1)
// and so on, up to the first that does not reject. Informational objectives
// decide nothing and are not part of the family; each is tested as if alone.
func settle(list []*assessment, alpha float64) {
	family := make([]ranked, 0, len(list))
	for _, a := range list {
		if a.test == nil {
			continue
		}
		p := a.test.pValue()
		if a.result.Role == RoleInfo {
			a.result.PValue = Number(p)
			a.test.settle(&a.result, alpha, p <= alpha, a.power)
			continue
		}
		family = append(family, ranked{a, p})
	}
	sort.SliceStable(family, func(i, j int) bool { return family[i].p < family[j].p })
	rejecting, adjusted, level := true, 0.0, alpha
	for i, f := range family {
		left := float64(len(family) - i)
		adjusted = max(adjusted, min(1, f.p*left))
		if rejecting {
			level = alpha / left
			rejecting = f.p <= level
		}
		f.a.result.PValue = Number(adjusted)
		f.a.test.settle(&f.a.result, level, rejecting, f.a.power)
	}
}

type ranked struct {
	a *assessment
	p float64
}
