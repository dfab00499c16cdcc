package problem

import (
	"cmp"
	"slices"

	"github.com/tidegate-io/tidegate/entity"
)

// maxPlaces bounds the lists of an impact.
const maxPlaces = 100

// impactOf says who is hurt, from the events of a problem and the calls
// between services.
func impactOf(r *Record, topo *topology) Impact {
	var out Impact
	services := map[entity.Ref]map[string]*harm{} // by operation; "" is the service as a whole
	entries, operations := map[string]bool{}, map[string]bool{}
	for i := range r.Events {
		e := &r.Events[i]
		if e.Informational || e.Service == "" {
			continue
		}
		if e.Operation != "" {
			name := e.Service + " " + e.Operation
			operations[name] = true
			if topo.edge(e.Service) {
				entries[name] = true
			}
		}
		place := entity.Ref{Service: e.Service, Environment: e.Environment}
		if services[place] == nil {
			services[place] = map[string]*harm{}
		}
		h := services[place][e.Operation]
		if h == nil {
			h = &harm{}
			services[place][e.Operation] = h
		}
		h.add(e)
	}
	for place, at := range services {
		out.Services = append(out.Services, place)
		var sum harm
		for operation, h := range at {
			if operation != "" {
				sum.failed += h.failed
				sum.slow += h.slow
			}
		}
		if whole := at[""]; whole != nil {
			sum.failed, sum.slow = max(sum.failed, whole.failed), max(sum.slow, whole.slow)
		}
		out.FailedRequests, out.SlowRequests = max(out.FailedRequests, sum.failed), max(out.SlowRequests, sum.slow)
	}
	slices.SortFunc(out.Services, func(a, b entity.Ref) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Environment, b.Environment))
	})
	out.Services = out.Services[:min(len(out.Services), maxPlaces)]
	if out.Services == nil {
		out.Services = []entity.Ref{}
	}
	if r.Cause.established() {
		// The path begins where users come in.
		if p := r.Cause.Path; len(p) > 0 && p[0].Service != "" && p[0].Operation != "" {
			entries[p[0].Service+" "+p[0].Operation] = true
		}
	}
	out.Operations, out.EntryPoints = sorted(operations), sorted(entries)
	return out
}

// harm is the number of requests that are hurt at one place.
type harm struct{ failed, slow float64 }

func (h *harm) add(e *Event) {
	switch e.Signal {
	case SignalErrors:
		h.failed += e.Affected // one event after the other: different requests
	case SignalLatency, SignalSlowest:
		h.slow = max(h.slow, e.Affected) // both may count the same requests
	}
}

func sorted(set map[string]bool) []string {
	var out []string
	for s := range set {
		out = append(out, s)
	}
	slices.Sort(out)
	return out[:min(len(out), maxPlaces)]
}
