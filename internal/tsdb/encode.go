package tsdb

import (
	"encoding/json"
	"errors"
	"net/http"

	jsoniter "github.com/json-iterator/go"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/prometheus/prometheus/util/jsonutil"
)

// response is the envelope of the Prometheus HTTP API.
type response struct {
	Status    string   `json:"status"`
	Data      any      `json:"data,omitempty"`
	ErrorType string   `json:"errorType,omitempty"`
	Error     string   `json:"error,omitempty"`
	Warnings  []string `json:"warnings,omitempty"`
	Infos     []string `json:"infos,omitempty"`
}

func writeData(w http.ResponseWriter, data any, notes annotations.Annotations, query string) {
	warnings, infos := notes.AsStrings(query, 10, 10)
	writeJSON(w, http.StatusOK, response{Status: "success", Data: data, Warnings: warnings, Infos: infos})
}

func writeError(w http.ResponseWriter, err error) {
	kind := errInternal
	var e *apiError
	if errors.As(err, &e) {
		kind = e.kind
	}
	writeJSON(w, apiStatus[kind], response{Status: "error", ErrorType: kind, Error: err.Error()})
}

func writeJSON(w http.ResponseWriter, status int, v response) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that left is not our trouble
}

// encodeQueryData writes the data of a query's answer: numbers as strings,
// times as seconds, native histograms as Prometheus 3 shows them.
func encodeQueryData(v parser.Value) json.RawMessage {
	s := jsoniter.NewStream(jsoniter.ConfigCompatibleWithStandardLibrary, nil, 4096)
	s.WriteObjectStart()
	s.WriteObjectField("resultType")
	s.WriteString(string(v.Type()))
	s.WriteMore()
	s.WriteObjectField("result")
	switch v := v.(type) {
	case promql.Vector:
		encodeList(s, len(v), func(i int) { encodeSample(s, v[i]) })
	case promql.Matrix:
		encodeList(s, len(v), func(i int) { encodeSeries(s, v[i]) })
	case promql.Scalar:
		encodePoint(s, v.T, v.V, nil)
	case promql.String:
		s.WriteArrayStart()
		jsonutil.MarshalTimestamp(v.T, s)
		s.WriteMore()
		s.WriteString(v.V)
		s.WriteArrayEnd()
	}
	s.WriteObjectEnd()
	return s.Buffer()
}

func encodeSample(s *jsoniter.Stream, v promql.Sample) {
	s.WriteObjectStart()
	encodeMetric(s, v.Metric)
	s.WriteMore()
	if v.H != nil {
		s.WriteObjectField("histogram")
	} else {
		s.WriteObjectField("value")
	}
	encodePoint(s, v.T, v.F, v.H)
	s.WriteObjectEnd()
}

func encodeSeries(s *jsoniter.Stream, v promql.Series) {
	s.WriteObjectStart()
	encodeMetric(s, v.Metric)
	if len(v.Floats) > 0 {
		s.WriteMore()
		s.WriteObjectField("values")
		encodeList(s, len(v.Floats), func(i int) { encodePoint(s, v.Floats[i].T, v.Floats[i].F, nil) })
	}
	if len(v.Histograms) > 0 {
		s.WriteMore()
		s.WriteObjectField("histograms")
		encodeList(s, len(v.Histograms), func(i int) { encodePoint(s, v.Histograms[i].T, 0, v.Histograms[i].H) })
	}
	s.WriteObjectEnd()
}

func encodePoint(s *jsoniter.Stream, t int64, f float64, h *histogram.FloatHistogram) {
	s.WriteArrayStart()
	jsonutil.MarshalTimestamp(t, s)
	s.WriteMore()
	if h != nil {
		jsonutil.MarshalHistogram(h, s)
	} else {
		jsonutil.MarshalFloat(f, s)
	}
	s.WriteArrayEnd()
}

func encodeMetric(s *jsoniter.Stream, ls labels.Labels) {
	s.WriteObjectField("metric")
	s.WriteObjectStart()
	first := true
	ls.Range(func(l labels.Label) {
		if !first {
			s.WriteMore()
		}
		first = false
		s.WriteObjectField(l.Name)
		s.WriteString(l.Value)
	})
	s.WriteObjectEnd()
}

func encodeList(s *jsoniter.Stream, n int, item func(int)) {
	s.WriteArrayStart()
	for i := range n {
		if i > 0 {
			s.WriteMore()
		}
		item(i)
	}
	s.WriteArrayEnd()
}
