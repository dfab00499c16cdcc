package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/flag"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/loadtest"
)

// API is the server's public REST API, as far as the story needs it.
type API struct {
	Base string
	http http.Client
}

// NewAPI returns the API at host:port.
func NewAPI(address string) *API {
	return &API{Base: "http://" + address, http: http.Client{Timeout: 30 * time.Second}}
}

func (a *API) Call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.Base+path, body)
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return fault.Unavailable("%w", err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return fault.Unavailable("%s %s: %w", method, path, err)
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %.500s", method, path, resp.Status, raw)
	}
	if b, ok := out.(*[]byte); ok {
		*b = raw
		return nil
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

func (a *API) StartLoad(ctx context.Context, test string) (run loadtest.Run, err error) {
	err = a.Call(ctx, http.MethodPost, "/v1/loadtests/"+test+"/runs", map[string]string{"who": "demo"}, &run)
	return run, err
}

func (a *API) Load(ctx context.Context, id string) (run loadtest.Run, err error) {
	err = a.Call(ctx, http.MethodGet, "/v1/loadtest-runs/"+id, nil, &run)
	return run, err
}

// validation returns the newest finished validation of the guardian that the
// event caused, with that purpose, whole.
func (a *API) Validation(ctx context.Context, guardianName, eventID, purpose string) (v guardian.Validation, found bool, err error) {
	var list struct {
		Validations []guardian.Validation `json:"validations"`
	}
	if err := a.Call(ctx, http.MethodGet, "/v1/guardians/"+guardianName+"/validations?limit=20", nil, &list); err != nil {
		return v, false, err
	}
	for _, c := range list.Validations {
		if c.EventID == eventID && c.Tags["purpose"] == purpose && c.State == guardian.StateFinished {
			err = a.Call(ctx, http.MethodGet, "/v1/validations/"+url.PathEscape(c.ID), nil, &v)
			return v, err == nil, err
		}
	}
	return v, false, nil
}

func (a *API) SetFlag(ctx context.Context, set string, c flag.Change) (change.Event, error) {
	var answer struct {
		Event change.Event `json:"event"`
	}
	err := a.Call(ctx, http.MethodPost, "/v1/flags/"+set+"/"+c.Key, map[string]string{
		"variant": c.Variant, "who": c.Who, "reason": c.Reason, "onFailure": c.OnFailure}, &answer)
	return answer.Event, err
}

func (a *API) Flag(ctx context.Context, set, key string) (f flag.Flag, err error) {
	err = a.Call(ctx, http.MethodGet, "/v1/flags/"+set+"/"+key, nil, &f)
	return f, err
}

// undoing returns the event that took the event with that id back.
func (a *API) Undoing(ctx context.Context, e change.Event) (change.Event, bool, error) {
	var list struct {
		Events []change.Event `json:"events"`
	}
	q := url.Values{"key": {e.Key}, "from": {strconv.FormatInt(e.Start.Unix(), 10)}, "limit": {"20"}}
	if err := a.Call(ctx, http.MethodGet, "/v1/events?"+q.Encode(), nil, &list); err != nil {
		return change.Event{}, false, err
	}
	for _, c := range list.Events {
		if c.UndoOf == e.ID {
			return c, true, nil
		}
	}
	return change.Event{}, false, nil
}

func (a *API) Report(ctx context.Context, validation, format string) (raw []byte, err error) {
	err = a.Call(ctx, http.MethodGet, "/v1/validations/"+url.PathEscape(validation)+"/report?format="+format, nil, &raw)
	return raw, err
}
