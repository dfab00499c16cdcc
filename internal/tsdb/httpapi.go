package tsdb

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// apiError is an error of the Prometheus HTTP API: one of its types, and text.
type apiError struct {
	kind string
	err  error
}

func (e *apiError) Error() string { return e.err.Error() }
func (e *apiError) Unwrap() error { return e.err }

// The error types of the Prometheus HTTP API and the status each comes with.
const (
	errBadData   = "bad_data"
	errExecution = "execution"
	errTimeout   = "timeout"
	errCanceled  = "canceled"
	errInternal  = "internal"
)

var apiStatus = map[string]int{
	errBadData:   http.StatusBadRequest,
	errExecution: http.StatusUnprocessableEntity,
	errTimeout:   http.StatusServiceUnavailable,
	errCanceled:  499, // client closed request, as Prometheus answers
	errInternal:  http.StatusInternalServerError,
}

func badParam(name string, err error) error {
	return &apiError{errBadData, fmt.Errorf("invalid parameter %q: %w", name, err)}
}

// maxForm bounds the body of a POSTed query.
const maxForm = 1 << 20

// maxListed bounds the lists of series, labels and values of one answer.
const maxListed = 100_000

// api serves the part of the Prometheus HTTP API that reads.
type api struct{ db *DB }

// HTTPHandler serves the reading part of the Prometheus HTTP API, as Grafana
// and other clients use it, at its usual paths below /api/v1/. version is what
// it says of itself; the API is Prometheus 3's.
func (d *DB) HTTPHandler(version string) http.Handler {
	a := api{d}
	mux := http.NewServeMux()
	handle := func(path string, f func(*http.Request) (any, annotations.Annotations, error)) {
		h := answer(f)
		mux.HandleFunc("GET /api/v1/"+path, h)
		mux.HandleFunc("POST /api/v1/"+path, h)
	}
	handle("query", a.query)
	handle("query_range", a.queryRange)
	handle("series", a.series)
	handle("labels", a.labelNames)
	handle("label/{name}/values", a.labelValues)
	handle("metadata", a.metricMetadata)
	handle("format_query", a.formatQuery)
	handle("query_exemplars", func(*http.Request) (any, annotations.Annotations, error) {
		return []string{}, nil, nil // none are kept
	})
	handle("status/buildinfo", func(*http.Request) (any, annotations.Annotations, error) {
		return map[string]string{"version": "3.15.0", "revision": version, "goVersion": runtime.Version(),
			"branch": "", "buildUser": "tidegate", "buildDate": ""}, nil, nil
	})
	return mux
}

// answer runs f under the limits of the API and writes what it returns.
func answer(f func(*http.Request) (any, annotations.Annotations, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			writeError(w, &apiError{errBadData, fmt.Errorf("error parsing form values: %w", err)})
			return
		}
		if t := r.Form.Get("timeout"); t != "" {
			timeout, err := parseDuration(t)
			if err != nil {
				writeError(w, badParam("timeout", err))
				return
			}
			ctx, cancel := context.WithTimeout(r.Context(), timeout)
			defer cancel()
			r = r.WithContext(ctx)
		}
		data, warnings, err := f(r)
		if err != nil {
			writeError(w, err)
			return
		}
		writeData(w, data, warnings, r.Form.Get("query"))
	}
}

func (a api) query(r *http.Request) (any, annotations.Annotations, error) {
	at, err := timeParam(r, "time", time.Now())
	if err != nil {
		return nil, nil, err
	}
	opts, err := queryOpts(r)
	if err != nil {
		return nil, nil, err
	}
	q, err := a.db.engine.NewInstantQuery(r.Context(), a.db, opts, r.Form.Get("query"), at)
	if err != nil {
		return nil, nil, badParam("query", err)
	}
	return a.exec(r, q)
}

func (a api) queryRange(r *http.Request) (any, annotations.Annotations, error) {
	start, err := parseTime(r.Form.Get("start"))
	if err != nil {
		return nil, nil, badParam("start", err)
	}
	end, err := parseTime(r.Form.Get("end"))
	if err != nil {
		return nil, nil, badParam("end", err)
	}
	step, err := parseDuration(r.Form.Get("step"))
	switch {
	case err != nil:
		return nil, nil, badParam("step", err)
	case end.Before(start):
		return nil, nil, badParam("end", errors.New("end timestamp must not be before start time"))
	case step < time.Millisecond: // the engine counts in milliseconds
		return nil, nil, badParam("step", errors.New("zero or negative query resolution step widths are not accepted. Try a positive integer"))
	case end.Sub(start)/step > MaxPoints:
		return nil, nil, &apiError{errBadData, errors.New("exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)")}
	}
	opts, err := queryOpts(r)
	if err != nil {
		return nil, nil, err
	}
	q, err := a.db.engine.NewRangeQuery(r.Context(), a.db, opts, r.Form.Get("query"), start, end, step)
	if err != nil {
		return nil, nil, badParam("query", err)
	}
	return a.exec(r, q)
}

// exec runs the query. Its memory is reused once it is closed, so the answer is
// encoded before that.
func (a api) exec(r *http.Request, q promql.Query) (any, annotations.Annotations, error) {
	defer q.Close()
	limit, err := limitParam(r)
	if err != nil {
		return nil, nil, err
	}
	res := q.Exec(r.Context())
	if res.Err != nil {
		return nil, nil, execError(res.Err)
	}
	warnings := res.Warnings
	value := res.Value
	switch v := value.(type) {
	case promql.Vector:
		if limit > 0 && len(v) > limit {
			value, warnings = v[:limit], truncated(warnings)
		}
	case promql.Matrix:
		if limit > 0 && len(v) > limit {
			value, warnings = v[:limit], truncated(warnings)
		}
	}
	return encodeQueryData(value), warnings, nil
}

func truncated(w annotations.Annotations) annotations.Annotations {
	return w.Add(errors.New("results truncated due to limit"))
}

func execError(err error) error {
	var canceled promql.ErrQueryCanceled
	var timeout promql.ErrQueryTimeout
	var store promql.ErrStorage
	switch {
	case errors.As(err, &canceled), errors.Is(err, context.Canceled):
		return &apiError{errCanceled, err}
	case errors.As(err, &timeout), errors.Is(err, context.DeadlineExceeded):
		return &apiError{errTimeout, err}
	case errors.As(err, &store):
		return &apiError{errInternal, err}
	}
	return &apiError{errExecution, err}
}

// window is what the three lists below are restricted to.
type window struct {
	matchers [][]*labels.Matcher
	limit    int
	querier  storage.Querier
}

func (a api) window(r *http.Request) (window, error) {
	limit, err := limitParam(r)
	if err != nil {
		return window{}, err
	}
	if limit == 0 || limit > maxListed {
		limit = maxListed
	}
	start, err := timeParam(r, "start", minTime)
	if err != nil {
		return window{}, err
	}
	end, err := timeParam(r, "end", maxTime)
	if err != nil {
		return window{}, err
	}
	sets, err := a.db.parser.ParseMetricSelectors(r.Form["match[]"])
	if err != nil {
		return window{}, badParam("match[]", err)
	}
	for i, set := range sets {
		if !slices.ContainsFunc(set, func(m *labels.Matcher) bool { return !m.Matches("") }) {
			return window{}, badParam("match[]", fmt.Errorf("match[] %q must contain at least one non-empty matcher", r.Form["match[]"][i]))
		}
	}
	q, err := a.db.Querier(start.UnixMilli(), end.UnixMilli())
	if err != nil {
		return window{}, &apiError{errExecution, err}
	}
	return window{sets, limit, q}, nil
}

func (a api) series(r *http.Request) (any, annotations.Annotations, error) {
	if len(r.Form["match[]"]) == 0 {
		return nil, nil, &apiError{errBadData, errors.New("no match[] parameter provided")}
	}
	w, err := a.window(r)
	if err != nil {
		return nil, nil, err
	}
	defer w.querier.Close()

	hints := &storage.SelectHints{Start: math.MinInt64, End: math.MaxInt64, Func: "series", Limit: w.limit + 1}
	sets := make([]storage.SeriesSet, 0, len(w.matchers))
	for _, m := range w.matchers {
		sets = append(sets, w.querier.Select(r.Context(), true, hints, m...))
	}
	merged := storage.NewMergeSeriesSet(sets, 0, storage.ChainedSeriesMerge)
	out := []labels.Labels{}
	for merged.Next() {
		if len(out) == w.limit {
			return out, truncated(merged.Warnings()), nil
		}
		out = append(out, merged.At().Labels())
	}
	if err := merged.Err(); err != nil {
		return nil, nil, execError(err)
	}
	return out, merged.Warnings(), nil
}

func (a api) labelNames(r *http.Request) (any, annotations.Annotations, error) {
	return a.list(r, func(ctx context.Context, q storage.Querier, h *storage.LabelHints, m ...*labels.Matcher) ([]string, annotations.Annotations, error) {
		return q.LabelNames(ctx, h, m...)
	})
}

func (a api) labelValues(r *http.Request) (any, annotations.Annotations, error) {
	name := model.UnescapeName(r.PathValue("name"), model.ValueEncodingEscaping)
	if !model.UTF8Validation.IsValidLabelName(name) {
		return nil, nil, &apiError{errBadData, fmt.Errorf("invalid label name: %q", name)}
	}
	return a.list(r, func(ctx context.Context, q storage.Querier, h *storage.LabelHints, m ...*labels.Matcher) ([]string, annotations.Annotations, error) {
		return q.LabelValues(ctx, name, h, m...)
	})
}

// list merges what read returns for each of the request's selectors.
func (a api) list(r *http.Request, read func(context.Context, storage.Querier, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error)) (any, annotations.Annotations, error) {
	w, err := a.window(r)
	if err != nil {
		return nil, nil, err
	}
	defer w.querier.Close()
	if len(w.matchers) == 0 {
		w.matchers = [][]*labels.Matcher{nil}
	}
	out := []string{}
	var warnings annotations.Annotations
	for _, m := range w.matchers {
		names, warns, err := read(r.Context(), w.querier, &storage.LabelHints{Limit: w.limit + 1}, m...)
		if err != nil {
			return nil, nil, execError(err)
		}
		out = append(out, names...)
		warnings.Merge(warns)
	}
	slices.Sort(out)
	out = slices.Compact(out)
	if len(out) > w.limit {
		return out[:w.limit], truncated(warnings), nil
	}
	return out, warnings, nil
}

func (a api) metricMetadata(r *http.Request) (any, annotations.Annotations, error) {
	limit, err := limitParam(r)
	if err != nil {
		return nil, nil, err
	}
	all := a.db.metadata.all(r.Form.Get("metric"))
	if limit > 0 {
		for name := range all {
			if len(all) <= limit {
				break
			}
			delete(all, name)
		}
	}
	return all, nil, nil
}

func (a api) formatQuery(r *http.Request) (any, annotations.Annotations, error) {
	expr, err := a.db.parser.ParseExpr(r.Form.Get("query"))
	if err != nil {
		return nil, nil, badParam("query", err)
	}
	return expr.Pretty(0), nil, nil
}

func queryOpts(r *http.Request) (promql.QueryOpts, error) {
	var lookback time.Duration
	if s := r.Form.Get("lookback_delta"); s != "" {
		var err error
		if lookback, err = parseDuration(s); err != nil {
			return nil, &apiError{errBadData, fmt.Errorf("error parsing lookback delta duration: %w", err)}
		}
	}
	return promql.NewPrometheusQueryOpts(false, lookback), nil
}

func limitParam(r *http.Request) (int, error) {
	s := r.Form.Get("limit")
	if s == "" {
		return 0, nil
	}
	limit, err := strconv.Atoi(s)
	if err != nil {
		return 0, badParam("limit", err)
	}
	if limit < 0 {
		return 0, badParam("limit", errors.New("limit must be non-negative"))
	}
	return limit, nil
}

// The times that stand for "always"; their written forms are accepted too.
var (
	minTime = time.Unix(math.MinInt64/1000+62135596801, 0).UTC()
	maxTime = time.Unix(math.MaxInt64/1000-62135596801, 999999999).UTC()
)

func timeParam(r *http.Request, name string, otherwise time.Time) (time.Time, error) {
	s := r.Form.Get(name)
	if s == "" {
		return otherwise, nil
	}
	t, err := parseTime(s)
	if err != nil {
		return time.Time{}, badParam(name, err)
	}
	return t, nil
}

// parseTime reads unix seconds or RFC 3339.
func parseTime(s string) (time.Time, error) {
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		sec, frac := math.Modf(f)
		if math.IsNaN(f) || sec <= float64(minTime.Unix()) || sec >= float64(maxTime.Unix()) {
			return time.Time{}, fmt.Errorf("cannot parse %q to a valid timestamp", s)
		}
		return time.Unix(int64(sec), int64(math.Round(frac*1000)/1000*float64(time.Second))).UTC(), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, nil
	}
	switch s {
	case minTime.Format(time.RFC3339Nano):
		return minTime, nil
	case maxTime.Format(time.RFC3339Nano):
		return maxTime, nil
	}
	return time.Time{}, fmt.Errorf("cannot parse %q to a valid timestamp", s)
}

// parseDuration reads seconds or Prometheus' notation (1m30s).
func parseDuration(s string) (time.Duration, error) {
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		ns := f * float64(time.Second)
		if math.IsNaN(ns) || ns > math.MaxInt64 || ns < math.MinInt64 {
			return 0, fmt.Errorf("cannot parse %q to a valid duration. It overflows int64", s)
		}
		return time.Duration(ns), nil
	}
	if d, err := model.ParseDuration(s); err == nil {
		return time.Duration(d), nil
	}
	return 0, fmt.Errorf("cannot parse %q to a valid duration", s)
}
