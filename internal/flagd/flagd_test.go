//lint:file-ignore SA1019 older providers use what is deprecated

package flagd_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"

	"buf.build/gen/go/open-feature/flagd/connectrpc/go/flagd/evaluation/v1/evaluationv1connect"
	"buf.build/gen/go/open-feature/flagd/connectrpc/go/flagd/evaluation/v2/evaluationv2connect"
	"buf.build/gen/go/open-feature/flagd/connectrpc/go/flagd/sync/v1/syncv1connect"
	"buf.build/gen/go/open-feature/flagd/connectrpc/go/schema/v1/schemav1connect"
	v1 "buf.build/gen/go/open-feature/flagd/protocolbuffers/go/flagd/evaluation/v1"
	v2 "buf.build/gen/go/open-feature/flagd/protocolbuffers/go/flagd/evaluation/v2"
	syncv1 "buf.build/gen/go/open-feature/flagd/protocolbuffers/go/flagd/sync/v1"
	schemav1 "buf.build/gen/go/open-feature/flagd/protocolbuffers/go/schema/v1"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/flag"
	"github.com/tidegate-io/tidegate/internal/flagd"
)

const shop = `{"flags": {
  "failure": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off"},
  "banner": {"state": "ENABLED", "variants": {"red": "#f00", "blue": "#00f"}, "defaultVariant": "blue",
    "targeting": {"if": [{"==": [{"var": "email"}, "a@b.c"]}, "red", null]}},
  "workers": {"state": "ENABLED", "variants": {"few": 2, "many": 64}, "defaultVariant": "many"},
  "theme": {"state": "ENABLED", "variants": {"dark": {"size": 12}}, "defaultVariant": "dark"},
  "retired": {"state": "DISABLED", "variants": {"on": true}, "defaultVariant": "on"},
  "broken": {"state": "ENABLED", "variants": {"on": true}, "defaultVariant": "on", "targeting": {"if": [true, "nonsense"]}}
}}`

const other = `{"flags": {"workers": {"state": "ENABLED", "variants": {"one": 1}, "defaultVariant": "one"}}}`

// record keeps nothing but what the manager asks for again.
type record struct {
	mu        sync.Mutex
	overrides map[string]flag.Override
	events    map[string]change.Event
}

func (r *record) SetOverride(_ context.Context, o flag.Override, _ flag.Audit, _ string) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.overrides[o.Key] = o
	return true, nil
}

func (r *record) ClearOverride(_ context.Context, _, key string, _ flag.Audit) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.overrides, key)
	return nil
}

func (r *record) Overrides(context.Context) ([]flag.Override, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []flag.Override
	for _, o := range r.overrides {
		out = append(out, o)
	}
	return out, nil
}

func (*record) AddAudit(context.Context, flag.Audit) error { return nil }
func (*record) Audits(context.Context, string, string, int) ([]flag.Audit, error) {
	return nil, nil
}

func (r *record) Record(_ context.Context, e change.Event) (change.Event, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events[e.ID] = e
	return e, nil
}

func (r *record) Event(_ context.Context, id string) (change.Event, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.events[id]; ok {
		return e, nil
	}
	return change.Event{}, fault.NotFound("no event %s", id)
}

// fixture is a running server.
type fixture struct {
	flags                   *flag.Manager
	dir                     string
	evaluation, sync, ofrep string // base URLs
	stop                    func() error
}

func start(t testing.TB, keepAlive time.Duration) *fixture {
	t.Helper()
	f := &fixture{dir: t.TempDir()}
	f.write(t, "shop.flagd.json", shop)
	f.write(t, "another.json", other)
	r := &record{overrides: map[string]flag.Override{}, events: map[string]change.Event{}}
	var err error
	if f.flags, err = flag.New(flag.Config{Store: r, Recorder: r, Sources: []flag.Source{{Path: f.dir}}}); err != nil {
		t.Fatal(err)
	}
	if err := f.flags.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p := f.flags.State().Problems(); len(p) > 0 {
		t.Fatal(p)
	}
	var l [3]net.Listener
	for i, base := range []*string{&f.evaluation, &f.sync, &f.ofrep} {
		if l[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		*base = "http://" + l[i].Addr().String()
	}
	srv, err := flagd.New(flagd.Config{Flags: f.flags, Evaluation: l[0], Sync: l[1], OFREP: l[2], KeepAlive: keepAlive})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	f.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := f.stop(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func (f *fixture) write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) set(t testing.TB, key, variant string) {
	t.Helper()
	if _, _, err := f.flags.Set(t.Context(), flag.Change{Set: "shop", Key: key, Variant: variant, Who: "ann"}); err != nil {
		t.Fatal(err)
	}
}

// plaintext is a client for gRPC without TLS.
func plaintext(t *testing.T) *http.Client {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	c := &http.Client{Transport: &http.Transport{Protocols: p}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func evalContext(t *testing.T, m map[string]any) *structpb.Struct {
	t.Helper()
	s, err := structpb.NewStruct(m)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEvaluationV1(t *testing.T) {
	f := start(t, 0)
	for name, options := range map[string][]connect.ClientOption{"connect": nil, "grpc": {connect.WithGRPC()}, "grpc-web": {connect.WithGRPCWeb()}, "json": {connect.WithProtoJSON()}} {
		t.Run(name, func(t *testing.T) {
			c := evaluationv1connect.NewServiceClient(plaintext(t), f.evaluation, options...)
			b, err := c.ResolveBoolean(t.Context(), connect.NewRequest(&v1.ResolveBooleanRequest{FlagKey: "failure"}))
			if err != nil || b.Msg.Value || b.Msg.Variant != "off" || b.Msg.Reason != "STATIC" || b.Msg.Metadata.AsMap()["flagSetId"] != "shop" {
				t.Errorf("%v, %v", b, err)
			}
			s, err := c.ResolveString(t.Context(), connect.NewRequest(&v1.ResolveStringRequest{FlagKey: "banner", Context: evalContext(t, map[string]any{"email": "a@b.c"})}))
			if err != nil || s.Msg.Value != "#f00" || s.Msg.Reason != "TARGETING_MATCH" {
				t.Errorf("%v, %v", s, err)
			}
			o, err := c.ResolveObject(t.Context(), connect.NewRequest(&v1.ResolveObjectRequest{FlagKey: "theme"}))
			if err != nil || o.Msg.Value.AsMap()["size"] != 12.0 {
				t.Errorf("%v, %v", o, err)
			}
			all, err := c.ResolveAll(t.Context(), connect.NewRequest(&v1.ResolveAllRequest{}))
			if err != nil || len(all.Msg.Flags) != 4 || all.Msg.Flags["banner"].GetStringValue() != "#00f" || all.Msg.Flags["failure"].GetBoolValue() {
				t.Errorf("%v, %v", all, err)
			}
			for key, code := range map[string]connect.Code{"nothing": connect.CodeNotFound, "retired": connect.CodeNotFound, "banner": connect.CodeInvalidArgument, "": connect.CodeInvalidArgument, "broken": connect.CodeUnknown} {
				if _, err := c.ResolveBoolean(t.Context(), connect.NewRequest(&v1.ResolveBooleanRequest{FlagKey: key})); connect.CodeOf(err) != code {
					t.Errorf("%q: %v, want %v", key, err, code)
				}
			}
		})
	}
}

func TestEvaluationV2LeavesTheValueToTheCode(t *testing.T) {
	f := start(t, 0)
	c := evaluationv2connect.NewServiceClient(plaintext(t), f.evaluation, connect.WithGRPC())
	b, err := c.ResolveBoolean(t.Context(), connect.NewRequest(&v2.ResolveBooleanRequest{FlagKey: "retired"}))
	if err != nil || b.Msg.Value != nil || b.Msg.Variant != nil || b.Msg.Reason != "DISABLED" {
		t.Errorf("%v, %v", b, err)
	}
	i, err := c.ResolveInt(t.Context(), connect.NewRequest(&v2.ResolveIntRequest{FlagKey: "workers"}))
	if err != nil || i.Msg.Value == nil || *i.Msg.Value != 64 {
		t.Errorf("%v, %v", i, err)
	}
}

func TestSchemaV1(t *testing.T) {
	f := start(t, 0)
	c := schemav1connect.NewServiceClient(plaintext(t), f.evaluation, connect.WithGRPC())
	n, err := c.ResolveFloat(t.Context(), connect.NewRequest(&schemav1.ResolveFloatRequest{FlagKey: "workers"}))
	if err != nil || n.Msg.Value != 64 {
		t.Errorf("%v, %v", n, err)
	}
	all, err := c.ResolveAll(t.Context(), connect.NewRequest(&schemav1.ResolveAllRequest{}))
	if err != nil || all.Msg.Flags["workers"].GetDoubleValue() != 64 {
		t.Errorf("%v, %v", all, err)
	}
}

func TestSelector(t *testing.T) {
	f := start(t, 0)
	c := evaluationv1connect.NewServiceClient(plaintext(t), f.evaluation)
	for selector, want := range map[string]int64{"": 64, "flagSetId=another": 1, "flagSetId=shop": 64, "source=" + filepath.Join(f.dir, "another.json"): 1} {
		r := connect.NewRequest(&v1.ResolveIntRequest{FlagKey: "workers"})
		r.Header().Set("flagd-selector", selector)
		if got, err := c.ResolveInt(t.Context(), r); err != nil || got.Msg.Value != want {
			t.Errorf("%s: %v, %v", selector, got, err)
		}
	}
	r := connect.NewRequest(&v1.ResolveIntRequest{FlagKey: "workers"})
	r.Header().Set("flagd-selector", "color=red")
	if _, err := c.ResolveInt(t.Context(), r); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("unknown selector: %v", err)
	}
}

func TestEventStream(t *testing.T) {
	f := start(t, 20*time.Millisecond)
	c := evaluationv1connect.NewServiceClient(plaintext(t), f.evaluation, connect.WithGRPC())
	stream, err := c.EventStream(t.Context(), connect.NewRequest(&v1.EventStreamRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	next := func(kind string) *v1.EventStreamResponse {
		t.Helper()
		for stream.Receive() {
			if m := stream.Msg(); m.Type == kind {
				return m
			} else if m.Type != "keep_alive" {
				t.Fatalf("%s instead of %s", m.Type, kind)
			}
		}
		t.Fatalf("the stream ended: %v", stream.Err())
		return nil
	}
	next("provider_ready")
	f.set(t, "failure", "on")
	got := next("configuration_change").Data.AsMap()
	want := map[string]any{"flags": map[string]any{"failure": map[string]any{"type": "update", "flagKey": "failure", "source": filepath.Join(f.dir, "shop.flagd.json")}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	f.write(t, "another.json", `{"flags": {"new": {"state": "ENABLED", "variants": {"one": 1}, "defaultVariant": "one"}}}`)
	if err := f.flags.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	flags := next("configuration_change").Data.AsMap()["flags"].(map[string]any)
	if flags["new"].(map[string]any)["type"] != "write" || flags["workers"].(map[string]any)["type"] != "delete" {
		t.Errorf("%v", flags)
	}
	if !stream.Receive() || stream.Msg().Type != "keep_alive" {
		t.Errorf("no keep-alive: %v", stream.Msg())
	}
	stopped := make(chan error, 1)
	go func() { stopped <- f.stop() }()
	next("provider_shutdown")
	if stream.Receive() {
		t.Errorf("%v after the end", stream.Msg())
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestSync(t *testing.T) {
	f := start(t, 0)
	c := syncv1connect.NewFlagSyncServiceClient(plaintext(t), f.sync, connect.WithGRPC())
	defaultOf := func(configuration, key string) string {
		t.Helper()
		var doc struct {
			Flags map[string]struct{ DefaultVariant string }
		}
		if err := json.Unmarshal([]byte(configuration), &doc); err != nil {
			t.Fatal(err)
		}
		if err := flag.Check("sync", []byte(configuration)); err != nil && !strings.Contains(configuration, "broken") {
			t.Errorf("not a flagd document: %v", err)
		}
		return doc.Flags[key].DefaultVariant
	}
	stream, err := c.SyncFlags(t.Context(), connect.NewRequest(&syncv1.SyncFlagsRequest{Selector: "flagSetId=shop"}))
	if err != nil {
		t.Fatal(err)
	}
	if !stream.Receive() || defaultOf(stream.Msg().FlagConfiguration, "failure") != "off" {
		t.Fatalf("%v, %v", stream.Msg(), stream.Err())
	}
	// A change of another set is none of this stream.
	f.write(t, "another.json", `{"flags": {}}`)
	if err := f.flags.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.set(t, "failure", "on")
	if !stream.Receive() || defaultOf(stream.Msg().FlagConfiguration, "failure") != "on" {
		t.Fatalf("%v, %v", stream.Msg(), stream.Err())
	}
	all, err := c.FetchAllFlags(t.Context(), connect.NewRequest(&syncv1.FetchAllFlagsRequest{}))
	if err != nil || defaultOf(all.Msg.FlagConfiguration, "failure") != "on" {
		t.Errorf("%v, %v", all, err)
	}
	meta, err := c.GetMetadata(t.Context(), connect.NewRequest(&syncv1.GetMetadataRequest{})) //nolint:staticcheck // older providers call it
	if err != nil || !strings.Contains(meta.Msg.Metadata.AsMap()["sources"].(string), "shop.flagd.json") {
		t.Errorf("%v, %v", meta, err)
	}
	if _, err := c.FetchAllFlags(t.Context(), connect.NewRequest(&syncv1.FetchAllFlagsRequest{Selector: "color=red"})); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("unknown selector: %v", err)
	}
}

// ofrep posts to the OFREP server; headers are pairs.
func (f *fixture) post(t *testing.T, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.ofrep+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, strings.TrimSpace(string(b))
}

func TestOFREP(t *testing.T) {
	f := start(t, 0)
	const one = "/ofrep/v1/evaluate/flags/"
	tests := []struct {
		path, body string
		status     int
		want       string
	}{
		{one + "failure", `{"context":{"targetingKey":"u"}}`, 200, `{"value":false,"key":"failure","reason":"STATIC","variant":"off","metadata":{"flagSetId":"shop"}}`},
		{one + "failure", ``, 200, `{"value":false,"key":"failure","reason":"STATIC","variant":"off","metadata":{"flagSetId":"shop"}}`},
		{one + "banner", `{"context":{"email":"a@b.c"}}`, 200, `{"value":"#f00","key":"banner","reason":"TARGETING_MATCH","variant":"red","metadata":{"flagSetId":"shop"}}`},
		{one + "retired", `{}`, 200, `{"key":"retired","reason":"DISABLED","metadata":{"flagSetId":"shop"}}`},
		{one + "nothing", `{}`, 404, "{\"key\":\"nothing\",\"errorCode\":\"FLAG_NOT_FOUND\",\"errorDetails\":\"flag `nothing` does not exist\",\"metadata\":{}}"},
		{one + "broken", `{}`, 400, `{"key":"broken","errorCode":"GENERAL","errorDetails":"error processing the flag for evaluation","metadata":{"flagSetId":"shop"}}`},
		{one + "failure", `{"context":7}`, 400, `{"key":"failure","errorCode":"INVALID_CONTEXT","errorDetails":"context is not an object","metadata":null}`},
		{one + "failure", `{`, 400, `{"key":"failure","errorCode":"PARSE_ERROR","errorDetails":"the request is not valid JSON: unexpected end of JSON input","metadata":null}`},
		{"/ofrep/v1/evaluate/flags", `{"context":[]}`, 400, `{"errorCode":"INVALID_CONTEXT","errorDetails":"context is not an object","metadata":null}`},
	}
	for _, tt := range tests {
		res, body := f.post(t, tt.path, tt.body)
		if res.StatusCode != tt.status || body != tt.want {
			t.Errorf("%s %s: %d %s\nwant %d %s", tt.path, tt.body, res.StatusCode, body, tt.status, tt.want)
		}
	}
	if res, _ := f.post(t, one+"failure", `{"context":{"x":"`+strings.Repeat("x", 2<<20)+`"}}`); res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("large: %d", res.StatusCode)
	}
}

func TestOFREPBulk(t *testing.T) {
	f := start(t, 0)
	const all = "/ofrep/v1/evaluate/flags"
	res, body := f.post(t, all, `{"context":{}}`)
	var got struct {
		Flags []struct {
			Key, Reason, ErrorCode string
			Value                  any
		}
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil || res.StatusCode != http.StatusOK || len(got.Flags) != 7 {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	tag := res.Header.Get("ETag")
	for _, header := range []string{tag, `"x", ` + tag, "W/" + tag} {
		if res, body := f.post(t, all, `{"context":{}}`, "If-None-Match", header); res.StatusCode != http.StatusNotModified || body != "" {
			t.Errorf("%s: %d %s", header, res.StatusCode, body)
		}
	}
	if res, _ := f.post(t, all, `{"context":{"email":"a@b.c"}}`, "If-None-Match", tag); res.StatusCode != http.StatusOK {
		t.Errorf("another context: %d", res.StatusCode)
	}
	f.set(t, "failure", "on")
	if res, _ := f.post(t, all, `{"context":{}}`, "If-None-Match", tag); res.StatusCode != http.StatusOK || res.Header.Get("ETag") == tag {
		t.Errorf("after a change: %d", res.StatusCode)
	}
	if res, body := f.post(t, all, `{}`, "flagd-selector", "flagSetId=another"); res.StatusCode != http.StatusOK || strings.Count(body, `"key"`) != 1 {
		t.Errorf("selected: %d %s", res.StatusCode, body)
	}
}

// A request that begins after Set returned sees the change, without waiting.
func TestReadYourWrites(t *testing.T) {
	f := start(t, 0)
	for i := range 50 {
		want := []string{"on", "off"}[i%2]
		f.set(t, "failure", want)
		if _, body := f.post(t, "/ofrep/v1/evaluate/flags/failure", ""); !strings.Contains(body, `"variant":"`+want+`"`) {
			t.Fatalf("%s after it was set to %s", body, want)
		}
	}
}

func TestFileThatIsGone(t *testing.T) {
	f := start(t, 0)
	if err := os.Remove(filepath.Join(f.dir, "another.json")); err != nil {
		t.Fatal(err)
	}
	if err := f.flags.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if res, _ := f.post(t, "/ofrep/v1/evaluate/flags/workers", "", "flagd-selector", "flagSetId=another"); res.StatusCode != http.StatusNotFound {
		t.Errorf("%d", res.StatusCode)
	}
}

func BenchmarkOFREP(b *testing.B) {
	f := start(b, 0)
	srv, err := flagd.New(flagd.Config{Flags: f.flags})
	if err != nil {
		b.Fatal(err)
	}
	h := srv.OFREPHandler()
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "/ofrep/v1/evaluate/flags/banner", strings.NewReader(`{"context":{"email":"a@b.c"}}`))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Body)
		}
	}
}
