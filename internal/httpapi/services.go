package httpapi

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/sync/errgroup"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/judge"
	"github.com/tidegate-io/tidegate/telemetry"
)

// Health is a service's state at a glance: failing when its last verdict
// failed, degraded when the last verdict warned or 5 % of its requests fail,
// unknown without traffic.
type Health string

// The states of health.
const (
	HealthOK       Health = "ok"
	HealthDegraded Health = "degraded"
	HealthFailing  Health = "failing"
	HealthUnknown  Health = "unknown"
)

const degradedErrorRatio = 0.05

// Service is a service's golden signals over a time range. Durations are in
// seconds; numbers without data are null.
type Service struct {
	Service           string              `json:"service"`
	Environment       string              `json:"environment,omitempty"`
	Versions          []string            `json:"versions"`
	RequestsPerSecond judge.Number        `json:"requestsPerSecond"`
	ErrorRatio        judge.Number        `json:"errorRatio"`
	P50               judge.Number        `json:"p50"`
	P95               judge.Number        `json:"p95"`
	Series            Sparkline           `json:"series"`
	Health            Health              `json:"health"`
	LastValidation    *ValidationHeadline `json:"lastValidation,omitempty"`
}

// Sparkline is the course of the golden signals: columns of equal length.
type Sparkline struct {
	T      []int64        `json:"t" doc:"unix seconds"`
	Rate   []judge.Number `json:"rate" doc:"requests per second"`
	Errors []judge.Number `json:"errors" doc:"ratio"`
	P50    []judge.Number `json:"p50" doc:"seconds"`
	P95    []judge.Number `json:"p95" doc:"seconds"`
}

// ValidationHeadline is a verdict in one line.
type ValidationHeadline struct {
	ID       string       `json:"id"`
	Guardian string       `json:"guardian"`
	Number   int          `json:"number"`
	Status   judge.Status `json:"status"`
	Headline string       `json:"headline"`
	Finished time.Time    `json:"finished"`
}

// Operation is one operation's golden signals.
type Operation struct {
	Operation         string       `json:"operation"`
	Kind              string       `json:"kind"`
	RequestsPerSecond judge.Number `json:"requestsPerSecond"`
	ErrorRatio        judge.Number `json:"errorRatio"`
	P50               judge.Number `json:"p50"`
	P95               judge.Number `json:"p95"`
}

// Version is one version's golden signals.
type Version struct {
	Version           string       `json:"version"`
	RequestsPerSecond judge.Number `json:"requestsPerSecond"`
	ErrorRatio        judge.Number `json:"errorRatio"`
	P95               judge.Number `json:"p95"`
}

// Edge is the calls from one service to another.
type Edge struct {
	Client            string       `json:"client"`
	Server            string       `json:"server"`
	RequestsPerSecond judge.Number `json:"requestsPerSecond"`
	ErrorRatio        judge.Number `json:"errorRatio"`
	P95               judge.Number `json:"p95"`
}

// ServicePage is everything on one service.
type ServicePage struct {
	Service
	Operations     []Operation           `json:"operations"`
	Upstream       []Edge                `json:"upstream" doc:"who calls it"`
	Downstream     []Edge                `json:"downstream" doc:"whom it calls"`
	VersionsDetail []Version             `json:"versionsDetail"`
	Changes        []change.Event        `json:"changes"`
	Validations    []guardian.Validation `json:"validations"`
}

// Graph is the service map.
type Graph struct {
	Nodes []Service `json:"nodes"`
	Edges []Edge    `json:"edges"`
}

const servingKinds = telemetry.LabelKind + `=~"` + telemetry.LabelKindServer + "|" + telemetry.LabelKindConsumer + `"`

// ServiceList is ordered by name.
type ServiceList struct {
	Services []Service `json:"services"`
}

func (a *server) registerServices(api huma.API) {
	huma.Get(api, "/v1/services", call(a, func(ctx context.Context, in *TimeRange) (ServiceList, error) {
		from, to, err := in.window(a.Clock())
		if err != nil {
			return ServiceList{}, err
		}
		s, err := a.services(ctx, servingKinds, from, to, 60)
		return ServiceList{nonNil(s)}, err
	}), named("list-services"))
	huma.Get(api, "/v1/services/{name}", call(a, func(ctx context.Context, in *struct {
		NameParam
		TimeRange
		Environment string `query:"environment"`
	}) (ServicePage, error) {
		from, to, err := in.window(a.Clock())
		if err != nil {
			return ServicePage{}, err
		}
		return a.servicePage(ctx, entity.Ref{Service: in.Name, Environment: in.Environment}, from, to)
	}), named("get-service"))
	huma.Get(api, "/v1/graph", call(a, func(ctx context.Context, in *struct {
		TimeRange
		Environment string `query:"environment"`
	}) (Graph, error) {
		from, to, err := in.window(a.Clock())
		if err != nil {
			return Graph{}, err
		}
		return a.graph(ctx, in.Environment, from, to)
	}))
}

// red is requests, errors and duration queries over spans that match, grouped
// by labels, each over a range.
type red struct{ match, by string }

func (q red) rate(span time.Duration) string {
	return fmt.Sprintf("sum by (%s) (rate(%s{%s}[%s]))", q.by, telemetry.MetricCalls, q.match, promDuration(span))
}

func (q red) errors(span time.Duration) string {
	return fmt.Sprintf(`sum by (%s) (rate(%s{%s,%s="%s"}[%s])) / sum by (%[1]s) (rate(%[2]s{%[3]s}[%[6]s]))`,
		q.by, telemetry.MetricCalls, q.match, telemetry.LabelStatus, telemetry.LabelStatusError, promDuration(span))
}

func (q red) quantile(p float64, span time.Duration) string {
	return fmt.Sprintf("histogram_quantile(%g, sum by (%s) (rate(%s{%s}[%s])))", p, q.by, telemetry.MetricDuration, q.match, promDuration(span))
}

func promDuration(d time.Duration) string {
	return strconv.FormatInt(max(d.Milliseconds(), 1), 10) + "ms"
}

// values asks for several instant values and indexes them by the labels.
func (a *server) values(ctx context.Context, at time.Time, key func(map[string]string) string, queries ...string) ([]map[string]judge.Number, error) {
	out := make([]map[string]judge.Number, len(queries))
	g, ctx := errgroup.WithContext(ctx)
	for i, q := range queries {
		g.Go(func() error {
			series, err := a.Metrics.Query(ctx, q, at)
			if err != nil {
				return err
			}
			out[i] = map[string]judge.Number{}
			for _, s := range series {
				if len(s.Points) > 0 {
					out[i][key(s.Labels)] = s.Points[len(s.Points)-1][1]
				}
			}
			return nil
		})
	}
	return out, g.Wait()
}

func (a *server) services(ctx context.Context, match string, from, to time.Time, points int) ([]Service, error) {
	const by = telemetry.LabelService + "," + telemetry.LabelEnvironment
	q, window := red{match, by}, to.Sub(from)
	key := func(l map[string]string) string {
		return l[telemetry.LabelService] + "\x00" + l[telemetry.LabelEnvironment]
	}
	versions, err := a.Metrics.Query(ctx, red{match, by + "," + telemetry.LabelVersion}.rate(window), to)
	if err != nil {
		return nil, err
	}
	now, err := a.values(ctx, to, key, q.rate(window), q.errors(window), q.quantile(0.5, window), q.quantile(0.95, window))
	if err != nil {
		return nil, err
	}
	last, err := a.lastVerdicts(ctx)
	if err != nil {
		return nil, err
	}
	byKey := map[string]*Service{}
	var out []*Service
	for _, s := range versions {
		k := key(s.Labels)
		if byKey[k] == nil {
			sv := &Service{
				Service: s.Labels[telemetry.LabelService], Environment: s.Labels[telemetry.LabelEnvironment], Versions: []string{},
				RequestsPerSecond: value(now[0], k), ErrorRatio: zeroIfMissing(now[1], now[0], k), P50: value(now[2], k), P95: value(now[3], k),
			}
			sv.LastValidation = last[entity.Ref{Service: sv.Service, Environment: sv.Environment}]
			if sv.LastValidation == nil {
				sv.LastValidation = last[entity.Ref{Service: sv.Service}]
			}
			sv.Health = sv.health()
			byKey[k], out = sv, append(out, sv)
		}
		if v := s.Labels[telemetry.LabelVersion]; v != "" {
			byKey[k].Versions = append(byKey[k].Versions, v)
		}
	}
	if err := a.sparklines(ctx, q, key, byKey, from, to, points); err != nil {
		return nil, err
	}
	list := make([]Service, len(out))
	for i, s := range out {
		slices.Sort(s.Versions)
		list[i] = *s
	}
	slices.SortFunc(list, func(x, y Service) int {
		return cmp.Or(cmp.Compare(x.Service, y.Service), cmp.Compare(x.Environment, y.Environment))
	})
	return list, nil
}

func (s *Service) health() Health {
	switch {
	case s.LastValidation != nil && s.LastValidation.Status == judge.StatusFail:
		return HealthFailing
	case s.RequestsPerSecond.IsNaN() || s.RequestsPerSecond == 0:
		return HealthUnknown
	case s.ErrorRatio >= degradedErrorRatio, s.LastValidation != nil && s.LastValidation.Status == judge.StatusWarn:
		return HealthDegraded
	}
	return HealthOK
}

// sparklines fills the course of the golden signals of every service.
func (a *server) sparklines(ctx context.Context, q red, key func(map[string]string) string, into map[string]*Service, from, to time.Time, points int) error {
	step := niceStep(to.Sub(from), points)
	from, to = from.Truncate(step), to.Truncate(step)
	n := int(to.Sub(from)/step) + 1
	for _, s := range into {
		s.Series = Sparkline{T: make([]int64, n), Rate: gaps(n), Errors: gaps(n), P50: gaps(n), P95: gaps(n)}
		for i := range n {
			s.Series.T[i] = from.Add(time.Duration(i) * step).Unix()
		}
	}
	window := max(step, 10*time.Second) // at least five points of the 2 s flush
	g, ctx := errgroup.WithContext(ctx)
	for _, c := range []struct {
		query  string
		column func(*Sparkline) []judge.Number
	}{
		{q.rate(window), func(s *Sparkline) []judge.Number { return s.Rate }},
		{q.errors(window), func(s *Sparkline) []judge.Number { return s.Errors }},
		{q.quantile(0.5, window), func(s *Sparkline) []judge.Number { return s.P50 }},
		{q.quantile(0.95, window), func(s *Sparkline) []judge.Number { return s.P95 }},
	} {
		g.Go(func() error {
			series, err := a.Metrics.QueryRange(ctx, c.query, from, to, step)
			if err != nil {
				return err
			}
			for _, s := range series {
				sv := into[key(s.Labels)]
				if sv == nil {
					continue
				}
				for _, p := range s.Points {
					if i := int((int64(p[0]) - from.Unix()) / int64(step.Seconds())); i >= 0 && i < n {
						c.column(&sv.Series)[i] = p[1]
					}
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, s := range into {
		for i := range s.Series.Errors { // requests, but no failed series: none failed
			if s.Series.Errors[i].IsNaN() && s.Series.Rate[i] > 0 {
				s.Series.Errors[i] = 0
			}
		}
	}
	return nil
}

func gaps(n int) []judge.Number {
	out := make([]judge.Number, n)
	for i := range out {
		out[i] = judge.Number(math.NaN())
	}
	return out
}

func value(m map[string]judge.Number, k string) judge.Number {
	if v, ok := m[k]; ok {
		return v
	}
	return judge.Number(math.NaN())
}

// zeroIfMissing: a ratio without a numerator series is zero when there were
// requests at all.
func zeroIfMissing(ratio, total map[string]judge.Number, k string) judge.Number {
	if v, ok := ratio[k]; ok {
		return v
	}
	if total[k] > 0 {
		return 0
	}
	return judge.Number(math.NaN())
}

// lastVerdicts returns the latest finished validation for every target.
func (a *server) lastVerdicts(ctx context.Context) (map[entity.Ref]*ValidationHeadline, error) {
	guardians, err := a.Guardians.Guardians(ctx)
	if err != nil {
		return nil, err
	}
	out := map[entity.Ref]*ValidationHeadline{}
	for _, g := range guardians {
		list, err := a.Guardians.Validations(ctx, guardian.HistoryQuery{Guardian: g.Name, State: guardian.StateFinished, Limit: 1})
		if err != nil {
			return nil, err
		}
		for _, v := range list {
			at := entity.Ref{Service: v.Target.Service, Environment: v.Target.Environment}
			if old := out[at]; old == nil || v.Finished.After(old.Finished) {
				out[at] = &ValidationHeadline{v.ID, v.Guardian, v.Number, v.Status, v.Headline, v.Finished}
			}
		}
	}
	return out, nil
}

// matchRef restricts span metrics to a place.
func matchRef(r entity.Ref) string {
	m := servingKinds + "," + telemetry.LabelService + "=" + strconv.Quote(r.Service)
	if r.Environment != "" {
		m += "," + telemetry.LabelEnvironment + "=" + strconv.Quote(r.Environment)
	}
	return m
}

func (a *server) servicePage(ctx context.Context, ref entity.Ref, from, to time.Time) (ServicePage, error) {
	match, window := matchRef(ref), to.Sub(from)
	list, err := a.services(ctx, match, from, to, 240)
	if err != nil {
		return ServicePage{}, err
	}
	if len(list) == 0 {
		return ServicePage{}, fault.NotFound("no requests to service %q between %s and %s: is it sending traces?",
			ref.Service, from.Format(time.RFC3339), to.Format(time.RFC3339))
	}
	page := ServicePage{Service: list[0], Operations: []Operation{}, VersionsDetail: []Version{}}
	for _, s := range list { // without an environment asked for: the busiest one
		if s.RequestsPerSecond > page.RequestsPerSecond {
			page.Service = s
		}
	}
	if page.Operations, err = a.operations(ctx, match, to, window); err != nil {
		return page, err
	}
	if page.VersionsDetail, err = a.versions(ctx, match, to, window); err != nil {
		return page, err
	}
	edges, err := a.edges(ctx, ref.Environment, to, window)
	if err != nil {
		return page, err
	}
	page.Upstream, page.Downstream = []Edge{}, []Edge{}
	for _, e := range edges {
		if e.Server == ref.Service {
			page.Upstream = append(page.Upstream, e)
		}
		if e.Client == ref.Service {
			page.Downstream = append(page.Downstream, e)
		}
	}
	events, err := a.Changes.Events(ctx, change.Query{Service: ref.Service, From: from, To: to, Limit: 200})
	if err != nil {
		return page, err
	}
	page.Changes = nonNil(events)
	page.Validations, err = a.validationsOf(ctx, ref)
	return page, err
}

func (a *server) operations(ctx context.Context, match string, at time.Time, window time.Duration) ([]Operation, error) {
	const by = telemetry.LabelOperation + "," + telemetry.LabelKind
	q := red{match, by}
	key := func(l map[string]string) string {
		return l[telemetry.LabelOperation] + "\x00" + l[telemetry.LabelKind]
	}
	series, err := a.Metrics.Query(ctx, q.rate(window), at)
	if err != nil {
		return nil, err
	}
	v, err := a.values(ctx, at, key, q.rate(window), q.errors(window), q.quantile(0.5, window), q.quantile(0.95, window))
	if err != nil {
		return nil, err
	}
	out := []Operation{}
	for _, s := range series {
		k := key(s.Labels)
		out = append(out, Operation{
			Operation: s.Labels[telemetry.LabelOperation], Kind: s.Labels[telemetry.LabelKind],
			RequestsPerSecond: value(v[0], k), ErrorRatio: zeroIfMissing(v[1], v[0], k), P50: value(v[2], k), P95: value(v[3], k),
		})
	}
	slices.SortFunc(out, func(x, y Operation) int {
		return cmp.Or(cmp.Compare(y.RequestsPerSecond, x.RequestsPerSecond), cmp.Compare(x.Operation, y.Operation))
	})
	return out, nil
}

func (a *server) versions(ctx context.Context, match string, at time.Time, window time.Duration) ([]Version, error) {
	q := red{match, telemetry.LabelVersion}
	key := func(l map[string]string) string { return l[telemetry.LabelVersion] }
	v, err := a.values(ctx, at, key, q.rate(window), q.errors(window), q.quantile(0.95, window))
	if err != nil {
		return nil, err
	}
	out := []Version{}
	for k := range v[0] {
		out = append(out, Version{Version: k, RequestsPerSecond: value(v[0], k), ErrorRatio: zeroIfMissing(v[1], v[0], k), P95: value(v[2], k)})
	}
	slices.SortFunc(out, func(x, y Version) int { return cmp.Compare(x.Version, y.Version) })
	return out, nil
}

func (a *server) edges(ctx context.Context, environment string, at time.Time, window time.Duration) ([]Edge, error) {
	match := ""
	if environment != "" {
		match = telemetry.LabelEnvironment + "=" + strconv.Quote(environment)
	}
	const by = telemetry.LabelClient + "," + telemetry.LabelServer
	d := promDuration(window)
	key := func(l map[string]string) string { return l[telemetry.LabelClient] + "\x00" + l[telemetry.LabelServer] }
	rate := fmt.Sprintf("sum by (%s) (rate(%s{%s}[%s]))", by, telemetry.MetricGraphRequests, match, d)
	series, err := a.Metrics.Query(ctx, rate, at)
	if err != nil {
		return nil, err
	}
	v, err := a.values(ctx, at, key, rate,
		fmt.Sprintf("sum by (%s) (rate(%s{%s}[%s])) / sum by (%[1]s) (rate(%[5]s{%[3]s}[%[4]s]))", by, telemetry.MetricGraphFailed, match, d, telemetry.MetricGraphRequests),
		fmt.Sprintf("histogram_quantile(0.95, sum by (%s) (rate(%s{%s}[%s])))", by, telemetry.MetricGraphDuration, match, d))
	if err != nil {
		return nil, err
	}
	out := []Edge{}
	for _, s := range series {
		k := key(s.Labels)
		out = append(out, Edge{Client: s.Labels[telemetry.LabelClient], Server: s.Labels[telemetry.LabelServer],
			RequestsPerSecond: value(v[0], k), ErrorRatio: zeroIfMissing(v[1], v[0], k), P95: value(v[2], k)})
	}
	slices.SortFunc(out, func(x, y Edge) int {
		return cmp.Or(cmp.Compare(x.Client, y.Client), cmp.Compare(x.Server, y.Server))
	})
	return out, nil
}

func (a *server) graph(ctx context.Context, environment string, from, to time.Time) (Graph, error) {
	match := servingKinds
	if environment != "" {
		match += "," + telemetry.LabelEnvironment + "=" + strconv.Quote(environment)
	}
	nodes, err := a.services(ctx, match, from, to, 60)
	if err != nil {
		return Graph{}, err
	}
	edges, err := a.edges(ctx, environment, to, to.Sub(from))
	return Graph{Nodes: nonNil(nodes), Edges: edges}, err
}

// validationsOf returns the latest validations of guardians of the service.
func (a *server) validationsOf(ctx context.Context, ref entity.Ref) ([]guardian.Validation, error) {
	guardians, err := a.Guardians.Guardians(ctx)
	if err != nil {
		return nil, err
	}
	out := []guardian.Validation{}
	for _, g := range guardians {
		if g.Target.Service != ref.Service {
			continue
		}
		list, err := a.validations(ctx, guardian.HistoryQuery{Guardian: g.Name, Limit: 20})
		if err != nil {
			return nil, err
		}
		out = append(out, list.Validations...)
	}
	return out, nil
}
