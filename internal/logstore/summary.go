package logstore

import (
	"cmp"
	"slices"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/internal/otlp/wire"
	"github.com/tidegate-io/tidegate/internal/segment"
	"github.com/tidegate-io/tidegate/telemetry"
)

// Bounds of one summary; what does not fit makes it less selective.
const (
	maxServices  = 256
	maxNameBytes = 3 * 256 // service, environment and version together
	// anything stands for every service; no OTLP name is invalid UTF-8.
	anything = "\xff"
)

// summary is what is known about the records of a frame or of a segment.
type summary struct {
	records     int
	first, last uint64 // times in nanoseconds; first > last if there are none
	untimed     bool   // some records have no time of their own
	services    []service
	templates   templates
}

// service is the records of one service; ref.Service may be anything.
type service struct {
	ref         *entity.Ref
	maxSeverity uint8
}

// schema implements segment.Schema for log requests.
type schema struct{ refs segment.Shared[entity.Ref] }

// Summarise reads one ExportLogsServiceRequest.
func (s *schema) Summarise(req []byte) (*summary, []uint32, error) {
	var (
		sum  = &summary{first: ^uint64(0)}
		keys []uint32
		mine miner
	)
	err := wire.WalkLogs(req, func(res *wire.Resource, _ []byte, log *wire.Log) error {
		sum.records++
		if log.Time == 0 {
			sum.untimed = true
		} else {
			sum.first, sum.last = min(sum.first, log.Time), max(sum.last, log.Time)
		}
		if !log.TraceID.IsZero() {
			keys = append(keys, segment.Key(log.TraceID))
		}
		mine.add(sum.see(s, res, log.Severity), log)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	sum.templates = mine.out
	if sum.records == 0 {
		return sum, nil, segment.ErrEmpty
	}
	return sum, keys, nil
}

// see adds a record of res. Records of one resource follow each other, so the
// service is most often the last one. It returns the service.
func (s *summary) see(shared *schema, res *wire.Resource, severity uint8) *entity.Ref {
	if n := len(s.services); n > 0 && same(s.services[n-1].ref, res) {
		s.services[n-1].maxSeverity = max(s.services[n-1].maxSeverity, severity)
		return s.services[n-1].ref
	}
	ref := entity.Ref{Service: anything}
	if len(res.Service)+len(res.Environment)+len(res.Version) <= maxNameBytes {
		ref = res.Ref()
	}
	own := shared.refs.Get(ref)
	s.add(service{own, severity})
	return own
}

func same(ref *entity.Ref, res *wire.Resource) bool {
	return ref.Service == string(res.Service) && ref.Environment == string(res.Environment) && ref.Version == string(res.Version)
}

// add merges one service into the summary and puts it last.
func (s *summary) add(svc service) {
	find := func(ref entity.Ref) int {
		return slices.IndexFunc(s.services, func(have service) bool { return *have.ref == ref })
	}
	i := find(*svc.ref)
	if i < 0 && len(s.services) >= maxServices {
		svc.ref = &entity.Ref{Service: anything}
		i = find(*svc.ref)
	}
	if i >= 0 {
		svc.maxSeverity = max(svc.maxSeverity, s.services[i].maxSeverity)
		s.services = slices.Delete(s.services, i, i+1)
	}
	s.services = append(s.services, svc)
}

// Merge returns the summary of all records together.
func (s *schema) Merge(summaries []*summary) *summary {
	out := &summary{first: ^uint64(0)}
	for _, sum := range summaries {
		out.records += sum.records
		out.first, out.last = min(out.first, sum.first), max(out.last, sum.last)
		out.untimed = out.untimed || sum.untimed
		for _, svc := range sum.services {
			out.add(svc)
		}
		for _, t := range sum.templates {
			out.templates.add(t)
		}
	}
	slices.SortFunc(out.services, func(a, b service) int { return cmp.Compare(a.ref.Service, b.ref.Service) })
	return out
}

// newest returns a time that no record in the summary is later than.
func (s *summary) newest() uint64 {
	if s.untimed {
		return ^uint64(0)
	}
	return s.last
}

// may reports whether records that satisfy q can be among the summarised ones.
func (s *summary) may(q *telemetry.LogQuery) bool {
	if !s.untimed && (s.last < nanos(q.From) || !q.To.IsZero() && s.first >= nanos(q.To)) {
		return false
	}
	return slices.ContainsFunc(s.services, func(svc service) bool {
		return int(svc.maxSeverity) >= q.MinSeverity && (svc.ref.Service == anything || q.Covers(*svc.ref))
	})
}

// Encode writes what Decode reads.
func (s *schema) Encode(summaries []*summary) []byte {
	var w segment.SummaryWriter
	w.Uint(uint64(len(summaries)))
	for _, sum := range summaries {
		w.Uint(uint64(sum.records))
		w.Uint(sum.first)
		w.Uint(sum.last)
		w.Bool(sum.untimed)
		w.Uint(uint64(len(sum.services)))
		for _, svc := range sum.services {
			w.String(svc.ref.Service)
			w.String(svc.ref.Environment)
			w.String(svc.ref.Version)
			w.Uint(uint64(svc.maxSeverity))
		}
		sum.templates.encode(&w)
	}
	return w.Bytes()
}

// Decode reads what Encode wrote.
func (s *schema) Decode(data []byte) ([]*summary, error) {
	r := segment.NewSummaryReader(data)
	var out []*summary
	for range r.Count() {
		sum := &summary{records: int(r.Uint()), first: r.Uint(), last: r.Uint(), untimed: r.Bool()}
		for range r.Count() {
			ref := entity.Ref{Service: r.String(), Environment: r.String(), Version: r.String()}
			sum.services = append(sum.services, service{s.refs.Get(ref), uint8(r.Uint())})
		}
		sum.templates = s.decodeTemplates(r)
		out = append(out, sum)
	}
	return out, r.Err()
}
