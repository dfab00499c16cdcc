package tsdb

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/storage"

	"github.com/tidegate-io/tidegate/telemetry"
)

func unix(seconds float64) string {
	return strconv.FormatFloat(float64(at(seconds).Unix()), 'f', -1, 64)
}

// ask sends a request; with form it is a POST.
func ask(t *testing.T, h http.Handler, path string, form url.Values) (int, string) {
	t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	if form != nil {
		r = httptest.NewRequest("POST", path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func apiFixture(t *testing.T) http.Handler {
	db := open(t)
	put(t, db, map[string]string{model.MetricNameLabel: "up", "job": "a"}, 0, 1, 10, 1)
	put(t, db, map[string]string{model.MetricNameLabel: "up", "job": "b"}, 0, 0, 10, 0.5)
	put(t, db, durations("op"), 0, native(0, 1, 1, 3))
	app := db.Appender(t.Context())
	if _, err := app.Append(0, labels.FromStrings(model.MetricNameLabel, "orders_total"), 0, at(0).UnixMilli(), 1, nil, nil, storage.AOptions{
		MetricFamilyName: "orders_total", Metadata: metadata.Metadata{Type: model.MetricTypeCounter, Help: "Orders.", Unit: "1"},
	}); err != nil {
		t.Fatal(err)
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	return db.HTTPHandler("test")
}

// TestPrometheusAPI compares with what Prometheus 3 answers, byte by byte but
// for the order of keys.
func TestPrometheusAPI(t *testing.T) {
	h := apiFixture(t)
	s, e := unix(0), unix(10)
	tests := []struct {
		path string
		form url.Values
		want string
	}{
		{"/api/v1/query?query=up&time=" + s, nil,
			`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"a"},"value":[` + s + `,"1"]},{"metric":{"__name__":"up","job":"b"},"value":[` + s + `,"0"]}]}}`},
		{"/api/v1/query", url.Values{"query": {"scalar(up{job='b'})"}, "time": {at(10).Format("2006-01-02T15:04:05Z07:00")}},
			`{"status":"success","data":{"resultType":"scalar","result":[` + e + `,"0.5"]}}`},
		{"/api/v1/query?query=1/0&time=" + s, nil, `{"status":"success","data":{"resultType":"scalar","result":[` + s + `,"+Inf"]}}`},
		{"/api/v1/query?query=%22x%22&time=" + s, nil, `{"status":"success","data":{"resultType":"string","result":[` + s + `,"x"]}}`},
		{"/api/v1/query?query=nothing", nil, `{"status":"success","data":{"resultType":"vector","result":[]}}`},
		{"/api/v1/query_range", url.Values{"query": {"up{job='a'}"}, "start": {s}, "end": {e}, "step": {"5"}},
			`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"up","job":"a"},"values":[[` + s + `,"1"],[` + unix(5) + `,"1"],[` + e + `,"1"]]}]}}`},
		{"/api/v1/query_range?query=up&limit=1&start=" + s + "&end=" + s + "&step=1m", nil,
			`{"status":"success","warnings":["results truncated due to limit"],"data":{"resultType":"matrix","result":[{"metric":{"__name__":"up","job":"a"},"values":[[` + s + `,"1"]]}]}}`},
		{"/api/v1/query?query=sum(" + telemetry.MetricDuration + ")&time=" + s, nil,
			`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[` + s + `,{"count":"3","sum":"5","buckets":[[0,"0.5","1","2"],[0,"2","4","1"]]}]}]}}`},
		{"/api/v1/series?match[]=up", nil, `{"status":"success","data":[{"__name__":"up","job":"a"},{"__name__":"up","job":"b"}]}`},
		{"/api/v1/series", url.Values{"match[]": {`up{job="a"}`, `{job=~"a|b"}`}}, `{"status":"success","data":[{"__name__":"up","job":"a"},{"__name__":"up","job":"b"}]}`},
		{"/api/v1/series?match[]=nothing", nil, `{"status":"success","data":[]}`},
		{"/api/v1/labels?match[]=up", nil, `{"status":"success","data":["__name__","job"]}`},
		{"/api/v1/label/job/values", nil, `{"status":"success","data":["a","b"]}`},
		{"/api/v1/label/job/values?limit=1&start=" + s + "&end=" + e, nil, `{"status":"success","warnings":["results truncated due to limit"],"data":["a"]}`},
		{"/api/v1/label/nothing/values", nil, `{"status":"success","data":[]}`},
		{"/api/v1/metadata?metric=orders_total", nil, `{"status":"success","data":{"orders_total":[{"type":"counter","help":"Orders.","unit":"1"}]}}`},
		{"/api/v1/format_query?query=a%2Bb", nil, `{"status":"success","data":"a + b"}`},
	}
	for _, tt := range tests {
		code, body := ask(t, h, tt.path, tt.form)
		var got, want any
		if err := json.Unmarshal([]byte(tt.want), &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil || code != 200 {
			t.Errorf("%s: %d %s", tt.path, code, body)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s %v: -want +got\n%s", tt.path, tt.form, diff)
		}
	}
	if code, body := ask(t, h, "/api/v1/status/buildinfo", nil); code != 200 || !strings.Contains(body, `"version":"3.`) {
		t.Errorf("buildinfo: %d %s", code, body)
	}
}

func TestPrometheusAPIMistakes(t *testing.T) {
	h := apiFixture(t)
	for path, want := range map[string]string{
		"/api/v1/query?query=up{":                                      "400 bad_data",
		"/api/v1/query?query=up&time=yesterday":                        "400 bad_data",
		"/api/v1/query?query=up&timeout=x":                             "400 bad_data",
		"/api/v1/query?query=up&limit=-1":                              "400 bad_data",
		"/api/v1/query?query=up*on(x)up&time=" + unix(0):               "422 execution",
		"/api/v1/query_range?query=up":                                 "400 bad_data",
		"/api/v1/query_range?query=up&start=5&end=1&step=1":            "400 bad_data",
		"/api/v1/query_range?query=up&start=1&end=5&step=0":            "400 bad_data",
		"/api/v1/query_range?query=up&start=1&end=1.0001&step=0.0001":  "400 bad_data",
		"/api/v1/query_range?query=up&start=1&end=50000&step=1":        "400 bad_data",
		"/api/v1/query_range?query=up&start=1&end=5&step=1&timeout=0s": "503 timeout",
		"/api/v1/series":             "400 bad_data",
		"/api/v1/series?match[]={}":  "400 bad_data",
		"/api/v1/labels?match[]=up{": "400 bad_data",
		"/api/v1/metadata?limit=x":   "400 bad_data",
	} {
		code, body := ask(t, h, path, nil)
		var got struct{ Status, ErrorType, Error string }
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Errorf("%s: %v in %s", path, err, body)
		}
		if have := strconv.Itoa(code) + " " + got.ErrorType; have != want || got.Status != "error" || got.Error == "" {
			t.Errorf("%s: %s %s, want %s", path, have, body, want)
		}
	}
}
