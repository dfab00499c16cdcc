package flagd

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/open-feature/flagd/core/pkg/model"
	"github.com/open-feature/flagd/core/pkg/service/ofrep"
)

// OFREPHandler serves the OpenFeature Remote Evaluation Protocol
// (https://github.com/open-feature/protocol, version 0.2):
//
//	POST /ofrep/v1/evaluate/flags/{key}
//	POST /ofrep/v1/evaluate/flags        with ETag and If-None-Match
func (s *Server) OFREPHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /ofrep/v1/evaluate/flags/{key}", s.ofrepFlag)
	mux.HandleFunc("POST /ofrep/v1/evaluate/flags", s.ofrepAll)
	return mux
}

func (s *Server) ofrepFlag(w http.ResponseWriter, r *http.Request) {
	key := r.PathValue("key")
	evalCtx, status, problem := ofrepContext(w, r)
	if problem != nil {
		problem.Key = key
		writeJSON(w, status, problem)
		return
	}
	if len(key) > maxKey {
		writeJSON(w, http.StatusBadRequest, ofrep.EvaluationError{Key: key, ErrorCode: model.GeneralErrorCode, ErrorDetails: "a flag's key has at most 255 characters"})
		return
	}
	ctx, _, err := selected(r.Context(), r.Header)
	if err != nil {
		writeJSON(w, http.StatusBadRequest, ofrep.EvaluationError{Key: key, ErrorCode: model.GeneralErrorCode, ErrorDetails: err.Error()})
		return
	}
	s.catalog.current()
	v := s.catalog.eval.ResolveAsAnyValue(ctx, "", key, evalCtx)
	if v.Error != nil {
		status, problem := ofrep.EvaluationErrorResponseFrom(v)
		writeJSON(w, status, problem)
		return
	}
	writeJSON(w, http.StatusOK, ofrep.SuccessResponseFrom(v))
}

func (s *Server) ofrepAll(w http.ResponseWriter, r *http.Request) {
	evalCtx, status, problem := ofrepContext(w, r)
	if problem != nil {
		writeJSON(w, status, ofrep.BulkEvaluationContextErrorFrom(problem.ErrorCode, problem.ErrorDetails))
		return
	}
	ctx, _, err := selected(r.Context(), r.Header)
	if err != nil {
		writeJSON(w, http.StatusBadRequest, ofrep.BulkEvaluationContextErrorFrom(model.GeneralErrorCode, err.Error()))
		return
	}
	s.catalog.current()
	values, meta, err := s.catalog.eval.ResolveAllValues(ctx, "", evalCtx)
	if err != nil {
		s.logger.ErrorContext(ctx, "bulk evaluation", "error", err)
		writeJSON(w, http.StatusInternalServerError, ofrep.InternalError{ErrorDetails: "the flags cannot be evaluated"})
		return
	}
	body, err := json.Marshal(ofrep.BulkEvaluationResponseFrom(values, meta))
	if err != nil {
		s.logger.ErrorContext(ctx, "bulk evaluation", "error", err)
		writeJSON(w, http.StatusInternalServerError, ofrep.InternalError{ErrorDetails: "the flags cannot be written as JSON"})
		return
	}
	sum := sha256.Sum256(body)
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	w.Header().Set("ETag", tag)
	if matchesTag(r.Header.Get("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // the client is gone when this fails
}

// matchesTag compares weakly, as RFC 9110 asks for If-None-Match.
func matchesTag(header, tag string) bool {
	for t := range strings.SplitSeq(header, ",") {
		t = strings.TrimPrefix(strings.TrimSpace(t), "W/")
		if t == tag || t == "*" {
			return true
		}
	}
	return false
}

// ofrepContext reads the evaluation context of a request; an empty body is an
// empty context.
func ofrepContext(w http.ResponseWriter, r *http.Request) (map[string]any, int, *ofrep.EvaluationError) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, http.StatusRequestEntityTooLarge, &ofrep.EvaluationError{ErrorCode: model.GeneralErrorCode, ErrorDetails: "the request is larger than 1 MiB"}
	case err != nil:
		return nil, http.StatusBadRequest, &ofrep.EvaluationError{ErrorCode: model.ParseErrorCode, ErrorDetails: "the request cannot be read"}
	case len(body) == 0:
		return map[string]any{}, 0, nil
	}
	var request struct {
		Context json.RawMessage `json:"context"`
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return nil, http.StatusBadRequest, &ofrep.EvaluationError{ErrorCode: model.ParseErrorCode, ErrorDetails: "the request is not valid JSON: " + err.Error()}
	}
	evalCtx := map[string]any{}
	if len(request.Context) > 0 && json.Unmarshal(request.Context, &evalCtx) != nil {
		return nil, http.StatusBadRequest, &ofrep.EvaluationError{ErrorCode: model.InvalidContextCode, ErrorDetails: "context is not an object"}
	}
	return evalCtx, 0, nil
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client is gone when this fails
}
