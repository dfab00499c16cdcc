package cause

import "github.com/tidegate-io/tidegate/entity"

// Affected returns the places that are hurt, in order of their names: those
// with a symptom, with lasting excess of failures or delays, or with new
// messages of trouble. Places that take less or more traffic are not hurt by
// that, and neither is what merely uses a machine.
func Affected(in Input) []entity.Ref {
	w := newWorld(in)
	w.settleOnset()
	var out []entity.Ref
	for i, n := range w.nodes {
		if len(n.symptoms) > 0 || w.hurt(n) || w.complaining(i) {
			out = append(out, n.ref)
		}
	}
	return out
}

func (w *world) hurt(n *node) bool {
	for _, m := range n.series {
		for _, s := range m.shifts {
			if m.role != RoleResource && harmful(m.role, s) {
				return true
			}
		}
	}
	return false
}

func (w *world) complaining(i int) bool {
	for _, l := range w.Logs {
		if complains(l) && risen(l) > 0 && w.find(entity.Ref{Service: l.Service, Environment: l.Sample.Environment}) == i {
			return true
		}
	}
	return false
}
