package otlp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/tidegate-io/tidegate/fault"
)

// The encodings of OTLP/HTTP.
const (
	typeProtobuf = "application/x-protobuf"
	typeJSON     = "application/json"
)

// bodyTimeout is how long the body of a request may take to arrive.
const bodyTimeout = 30 * time.Second

// HTTPHandler serves OTLP/HTTP at /v1/traces, /v1/metrics and /v1/logs.
func (r *Receiver) HTTPHandler() http.Handler {
	mux := http.NewServeMux()
	for s, name := range signalNames {
		mux.HandleFunc("POST /v1/"+name, func(w http.ResponseWriter, req *http.Request) { r.serve(w, req, signal(s)) })
	}
	return mux
}

func (r *Receiver) serve(w http.ResponseWriter, req *http.Request, s signal) {
	if !r.tokens.admit(req.Header.Get("Authorization")) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, unauthenticated, http.StatusUnauthorized)
		return
	}
	typ, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if err != nil || typ != typeProtobuf && typ != typeJSON {
		http.Error(w, fmt.Sprintf("Content-Type must be %s or %s", typeProtobuf, typeJSON), http.StatusUnsupportedMediaType)
		return
	}
	// A sender that stalls would hold a part of the budget for ever. Where the
	// deadline cannot be set there is no connection that could stall.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	b := &body{budget: r.budget, limit: r.cfg.Limits.Request}
	defer b.release()
	out, err := r.receiveBody(req, s, b, typ)
	if err != nil {
		r.refuse(w, req.Context(), s, typ, err)
		return
	}
	w.Header().Set("Content-Type", typ)
	reply := out.proto()
	if typ == typeJSON {
		reply = out.json(s)
	}
	_, _ = w.Write(reply) // a sender that left sends again
}

func (r *Receiver) receiveBody(req *http.Request, s signal, b *body, typ string) (outcome, error) {
	raw, err := b.read(req)
	if err != nil {
		if errors.Is(err, errBusy) {
			r.counters.refused.Add(1)
		}
		return outcome{}, err
	}
	if typ == typeJSON {
		if raw, err = fromJSON(s, raw); err != nil {
			r.counters.rejected.Add(1)
			return outcome{}, fault.Invalid("malformed OTLP JSON: %w", err)
		}
	}
	return r.receive(req.Context(), s, raw)
}

// fromJSON converts a request to the protobuf encoding.
func fromJSON(s signal, raw []byte) ([]byte, error) {
	var req interface {
		UnmarshalJSON([]byte) error
		MarshalProto() ([]byte, error)
	}
	switch s {
	case traces:
		req = ptr(ptraceotlp.NewExportRequest())
	case metrics:
		req = ptr(pmetricotlp.NewExportRequest())
	default:
		req = ptr(plogotlp.NewExportRequest())
	}
	if !json.Valid(raw) { // says where, and guards the converter
		var v any
		return nil, json.Unmarshal(raw, &v)
	}
	if err := req.UnmarshalJSON(raw); err != nil {
		return nil, err
	}
	return req.MarshalProto()
}

func ptr[T any](v T) *T { return &v }

// refuse answers with a google.rpc.Status in the encoding of the request.
func (r *Receiver) refuse(w http.ResponseWriter, ctx context.Context, s signal, typ string, err error) {
	r.log(ctx, s, err)
	st := refusal(err)
	code := http.StatusServiceUnavailable
	var h *httpError
	switch {
	case errors.As(err, &h):
		code = h.status
	case st.Code() == codes.InvalidArgument:
		code = http.StatusBadRequest
	}
	if code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	}
	var reply []byte
	if typ == typeJSON {
		reply, err = json.Marshal(map[string]any{"code": st.Code(), "message": st.Message()})
	} else {
		reply, err = proto.Marshal(st.Proto())
	}
	if err != nil {
		http.Error(w, st.Message(), code)
		return
	}
	w.Header().Set("Content-Type", typ)
	w.WriteHeader(code)
	_, _ = w.Write(reply)
}
