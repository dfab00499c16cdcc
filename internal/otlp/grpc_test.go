package otlp_test

import (
	"context"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/internal/otlp"
)

const exportTraces = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

// asIs sends and receives bytes.
type asIs struct{}

func (asIs) Name() string { return "proto" }
func (asIs) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (asIs) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

var _ encoding.CodecV2 = asIs{}

func dial(t *testing.T, g *rig) func(body []byte, opts ...grpc.CallOption) ([]byte, error) {
	t.Helper()
	conn, err := grpc.NewClient(g.serveGRPC(t), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(asIs{})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return func(body []byte, opts ...grpc.CallOption) (out []byte, err error) {
		err = conn.Invoke(context.Background(), exportTraces, body, &out, opts...)
		return out, err
	}
}

func TestGRPCAnswers(t *testing.T) {
	g := start(t, t.TempDir(), &memory{}, func(c *otlp.Config) { c.Limits.Request = 100 << 10 })
	export := dial(t, g)

	if out, err := export(one(t)); err != nil || len(out) != 0 {
		t.Errorf("%x %v", out, err)
	}
	out, err := export(badSpans(t), grpc.UseCompressor("gzip"))
	reply := ptraceotlp.NewExportResponse()
	if err != nil || reply.UnmarshalProto(out) != nil || reply.PartialSuccess().RejectedSpans() != 2 {
		t.Errorf("partial success: %x %v", out, err)
	}
	if _, err := export([]byte("hello")); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "at byte") {
		t.Errorf("malformed: %v", err)
	}
	if _, err := export(make([]byte, 50<<20), grpc.UseCompressor("gzip")); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("gzip bomb: %v", err)
	}
	g.traces.fail(fault.Unavailable("the disk is full"))
	_, err = export(one(t))
	retry := false
	for _, d := range status.Convert(err).Details() {
		_, ok := d.(*errdetails.RetryInfo)
		retry = retry || ok
	}
	if status.Code(err) != codes.Unavailable || !retry {
		t.Errorf("no room: %v, retry info: %t", err, retry)
	}
	if n := g.traces.len(); n != 2 {
		t.Errorf("%d requests stored, want 2", n)
	}
}
