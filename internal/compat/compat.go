// Package compat accepts change and test events in the formats that other
// tools send already, and turns them into [change.Event]. A script that posts
// to one of those tools works here after changing its URL and token.
//
//	POST /api/v2/events/ingest   Dynatrace Events API v2
//	POST /api/v1/events          Dynatrace Events API v1
//	POST /api/cloudevents        CloudEvents 1.0, binary, structured or batch:
//	                             CDEvents, Keptn's events and our own types
//	POST /api/v1/event           the same, where Keptn's API had it
//	POST /v2/change/enqueue      PagerDuty change events
//	POST /webhooks/github        GitHub webhooks, when a secret is configured
//
// and, when there is somebody to take problems, what other monitors say is
// wrong, which becomes a [problem.Event]:
//
//	POST /webhooks/alertmanager  Alertmanager's webhook, version 4
//	POST /v2/enqueue             PagerDuty Events API v2
//	POST /webhooks/dynatrace     Dynatrace problem notifications
//
// as well as the Dynatrace event types that open a problem, and CDEvents
// incidents, which are recorded besides.
//
// Rules that hold for all of them: an event is durable before the answer is
// 2xx; fields nobody knows are ignored; a missing required field is a 400
// that names it, in the error format of the API that is imitated; values
// that have no field of their own become properties. A sender's own identity
// of an event (CloudEvents source and id, GitHub's delivery id) makes a retry
// harmless; formats without one are recorded as often as they are sent.
package compat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/fault"
)

// Limits on requests.
const (
	maxBody       = 1 << 20
	maxGitHubBody = 5 << 20 // GitHub's pushes list their commits
	maxBatch      = 100
)

// Recorder stores events; *change.Log is one. What it returned without an
// error is durable.
type Recorder interface {
	Record(ctx context.Context, e change.Event) (change.Event, error)
}

// Verifier checks an API token and says whose it is. An error means that the
// token may not send events.
type Verifier func(ctx context.Context, token string) (who string, err error)

// Config configures [Handlers].
type Config struct {
	Recorder Recorder
	// Problems, when set, takes what other monitors report.
	Problems Problems
	// Verify checks tokens; nil admits everybody.
	Verify Verifier
	// GitHubSecret is the secret of the GitHub webhook; without it GitHub's
	// webhooks are not accepted.
	GitHubSecret string
	// Now is optional, default time.Now.
	Now    func() time.Time
	Logger *slog.Logger // optional
}

// Handlers are the HTTP handlers; see Register.
type Handlers struct {
	recorder     Recorder
	problems     Problems
	verify       Verifier
	githubSecret []byte
	now          func() time.Time
	logger       *slog.Logger
}

// New returns Handlers for cfg.
func New(cfg Config) (*Handlers, error) {
	if cfg.Recorder == nil {
		return nil, fault.Invalid("compat: a recorder is required")
	}
	if cfg.Verify == nil {
		cfg.Verify = func(context.Context, string) (string, error) { return "", nil }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Handlers{recorder: cfg.Recorder, problems: cfg.Problems, verify: cfg.Verify, githubSecret: []byte(cfg.GitHubSecret), now: cfg.Now, logger: cfg.Logger}, nil
}

// Paths are the routes; their handlers check the caller's token, routing key
// or signature themselves.
func Paths() []string {
	return []string{"/api/v2/events/ingest", "/api/v1/events", "/api/cloudevents", "/api/v1/event", "/v2/change/enqueue", "/webhooks/github",
		"/webhooks/alertmanager", "/v2/enqueue", "/webhooks/dynatrace"}
}

// Register adds the routes to mux.
func (h *Handlers) Register(mux *http.ServeMux) {
	mux.HandleFunc("POST /api/v2/events/ingest", h.dynatraceV2)
	mux.HandleFunc("POST /api/v1/events", h.dynatraceV1)
	mux.HandleFunc("POST /api/cloudevents", h.cloudEvents)
	mux.HandleFunc("POST /api/v1/event", h.cloudEvents)
	mux.HandleFunc("POST /v2/change/enqueue", h.pagerDuty)
	if len(h.githubSecret) > 0 {
		mux.HandleFunc("POST /webhooks/github", h.github)
	}
	if h.problems != nil {
		mux.HandleFunc("POST /webhooks/alertmanager", h.alertmanager)
		mux.HandleFunc("POST /v2/enqueue", h.pagerDutyEvents)
		mux.HandleFunc("POST /webhooks/dynatrace", h.dynatraceNotifications)
	}
}

// authorize returns whose token the request carries: "Authorization:
// Api-Token …" as Dynatrace writes it, "Bearer …", or Keptn's header x-token.
func (h *Handlers) authorize(r *http.Request) (string, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case strings.EqualFold(scheme, "Api-Token"), strings.EqualFold(scheme, "Bearer"), strings.EqualFold(scheme, "Token"):
		token = strings.TrimSpace(token)
	default:
		token = r.Header.Get("X-Token")
	}
	return h.verify(r.Context(), token)
}

// record stores the events one after the other, and makes problems of those
// that report one; the error names which of several was wrong.
func (h *Handlers) record(ctx context.Context, events []change.Event) ([]change.Event, error) {
	out := make([]change.Event, len(events))
	for i, e := range events {
		stored, err := h.recorder.Record(ctx, e)
		if err != nil && len(events) > 1 {
			return nil, fmt.Errorf("event %d of %d: %w", i+1, len(events), err)
		}
		if err != nil {
			return nil, err
		}
		out[i] = stored
	}
	return out, h.raise(ctx, out)
}

// errTooLarge is the error of a body beyond its limit.
var errTooLarge = errors.New("the request is too large")

// readBody reads at most limit bytes.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, fmt.Errorf("%w: at most %d bytes are allowed", errTooLarge, limit)
	}
	if err != nil {
		return nil, fault.Invalid("the request cannot be read: %w", err)
	}
	return body, nil
}

// readJSON reads a JSON object into v.
func readJSON(w http.ResponseWriter, r *http.Request, limit int64, v any) error {
	body, err := readBody(w, r, limit)
	if err != nil {
		return err
	}
	return decode(body, v)
}

// decode reads JSON; the error says where it is wrong.
func decode(body []byte, v any) error {
	err := json.Unmarshal(body, v)
	var wrongType *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrongType):
		return fault.InvalidField(wrongType.Field, "must not be a %s", wrongType.Value)
	case errors.As(err, &syntax):
		return fault.Invalid("not valid JSON at byte %d: %w", syntax.Offset, err)
	}
	return fault.Invalid("not valid JSON: %w", err)
}

// statusOf translates an error of recording or reading into an HTTP status.
func statusOf(err error) int {
	if errors.Is(err, errTooLarge) {
		return http.StatusRequestEntityTooLarge
	}
	switch fault.KindOf(err) {
	case fault.KindInvalid:
		return http.StatusBadRequest
	case fault.KindNotFound:
		return http.StatusNotFound
	case fault.KindConflict:
		return http.StatusConflict
	case fault.KindDenied:
		return http.StatusForbidden
	case fault.KindUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// explain returns the status and the message for an error; what is internal
// is logged and not told.
func (h *Handlers) explain(ctx context.Context, w http.ResponseWriter, err error) (int, string) {
	status := statusOf(err)
	switch status {
	case http.StatusInternalServerError:
		h.logger.ErrorContext(ctx, "an event was not recorded", "error", err)
		return status, "the event was not recorded"
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "5")
	}
	return status, err.Error()
}

// problem answers in the plain format of the routes that imitate nobody's
// errors.
func (h *Handlers) problem(w http.ResponseWriter, r *http.Request, err error) {
	status, message := h.explain(r.Context(), w, err)
	var f *fault.Error
	body := map[string]string{"error": message}
	if errors.As(err, &f) && f.Field != "" {
		body["field"] = f.Field
	}
	writeJSON(w, status, body)
}

func unauthorized(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", "Bearer")
	writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "a valid API token is required"})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client is gone when this fails
}

// mediaType returns the media type of the request without its parameters.
func mediaType(r *http.Request) string {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}
