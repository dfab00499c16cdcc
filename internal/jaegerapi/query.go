package jaegerapi

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/telemetry"
)

// Limits of a search.
const (
	maxTraces     = 1500 // the largest that Jaeger's UI offers
	defaultTraces = 20
	maxTags       = 32
	maxLookback   = 366 * 24 * time.Hour
)

// parse reads the parameters of a search as Jaeger's UI and Grafana send them.
func (a *API) parse(v url.Values) (telemetry.TraceQuery, error) {
	q := telemetry.TraceQuery{Operation: v.Get("operation"), Limit: defaultTraces}
	if q.Service = v.Get("service"); q.Service == "" {
		return q, fault.Invalid("parameter 'service' is required")
	}
	if q.Operation == "all" { // what the UI calls no restriction
		q.Operation = ""
	}
	if s := v.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n <= 0 {
			return q, fault.Invalid("parameter 'limit' is not a positive number: %q", s)
		}
		q.Limit = min(n, maxTraces)
	}
	var err error
	if q.MinDuration, err = duration(v, "minDuration"); err != nil {
		return q, err
	}
	if q.MaxDuration, err = duration(v, "maxDuration"); err != nil {
		return q, err
	}
	if q.MaxDuration > 0 && q.MaxDuration < q.MinDuration {
		return q, fault.Invalid("'maxDuration' should be greater than 'minDuration'")
	}
	if q.From, q.To, err = a.times(v); err != nil {
		return q, err
	}
	return q, tags(v, &q)
}

func duration(v url.Values, name string) (time.Duration, error) {
	s := v.Get(name)
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fault.Invalid("parameter '%s' is not a duration: %q", name, s)
	}
	return d, nil
}

// times reads start and end, in microseconds; where start is missing the
// search goes lookback back ("1h", "2d", or "custom"), by default an hour.
func (a *API) times(v url.Values) (from, to time.Time, err error) {
	to = a.cfg.Clock()
	if s := v.Get("end"); s != "" {
		if to, err = micros("end", s); err != nil {
			return from, to, err
		}
	}
	if s := v.Get("start"); s != "" {
		from, err = micros("start", s)
		return from, to, err
	}
	back := time.Hour
	if s := v.Get("lookback"); s != "" && s != "custom" {
		if back, err = lookback(s); err != nil {
			return from, to, err
		}
	}
	return to.Add(-back), to, nil
}

func micros(name, s string) (time.Time, error) {
	us, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}, fault.Invalid("parameter '%s' is not a number of microseconds: %q", name, s)
	}
	return time.UnixMicro(us), nil
}

func lookback(s string) (time.Duration, error) {
	unit := time.Duration(1)
	text := s
	for suffix, days := range map[string]int{"d": 1, "w": 7} {
		if n, ok := strings.CutSuffix(s, suffix); ok {
			text, unit = n+"h", time.Duration(24*days)
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d > maxLookback/unit {
		return 0, fault.Invalid("parameter 'lookback' is not a time like 1h or 2d: %q", s)
	}
	return d * unit, nil
}

// tags reads tag=key:value (repeated) and tags={"key":"value"}. The tags that
// Jaeger derives from the status select by status.
func tags(v url.Values, q *telemetry.TraceQuery) error {
	all := map[string]string{}
	for _, t := range v["tag"] {
		key, value, ok := strings.Cut(t, ":")
		if !ok || key == "" {
			return fault.Invalid("malformed 'tag' parameter, expecting key:value, received: %s", t)
		}
		all[key] = value
	}
	for _, t := range v["tags"] {
		var m map[string]any
		if err := json.Unmarshal([]byte(t), &m); err != nil {
			return fault.Invalid("malformed 'tags' parameter, cannot unmarshal JSON: %w", err)
		}
		for key, value := range m {
			all[key] = fmt.Sprint(value)
		}
	}
	if len(all) > maxTags {
		return fault.Invalid("at most %d tags", maxTags)
	}
	for key, value := range all {
		switch {
		case key == "error" && value == "true", key == "otel.status_code" && value == "ERROR":
			q.Status = telemetry.StatusError
		case key == "otel.status_code" && value == "OK":
			q.Status = telemetry.StatusOK
		default:
			if q.Attributes == nil {
				q.Attributes = map[string]string{}
			}
			q.Attributes[key] = value
		}
	}
	return nil
}
