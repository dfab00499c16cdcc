package otlp_test

import (
	"context"
	"net/http"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/tidegate-io/tidegate/internal/otlp"
)

// TestTokens: with tokens, nothing is taken from who does not show one.
func TestTokens(t *testing.T) {
	g := start(t, t.TempDir(), &memory{}, func(c *otlp.Config) { c.Tokens = []string{"first", "second"} })
	conn, err := grpc.NewClient(g.serveGRPC(t), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(asIs{})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	stored := 0
	for _, x := range []struct {
		authorization string
		ok            bool
	}{
		{"Bearer first", true}, {"bearer second", true},
		{"", false}, {"Bearer", false}, {"Bearer ", false}, {"Bearer third", false}, {"Bearer first ", false}, {"Basic first", false}, {"first", false},
	} {
		ctx := context.Background()
		var header []string
		if x.authorization != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", x.authorization)
			header = []string{"Authorization", x.authorization}
		}
		var out []byte
		err := conn.Invoke(ctx, exportTraces, one(t), &out)
		if want := map[bool]codes.Code{true: codes.OK, false: codes.Unauthenticated}[x.ok]; status.Code(err) != want {
			t.Errorf("gRPC %q: %v", x.authorization, err)
		}
		code, _ := g.post(t, "/v1/traces", one(t), header...)
		if want := map[bool]int{true: http.StatusOK, false: http.StatusUnauthorized}[x.ok]; code != want {
			t.Errorf("HTTP %q: %d", x.authorization, code)
		}
		if x.ok {
			stored += 2
		}
	}
	if n := g.traces.len(); n != stored {
		t.Errorf("%d requests stored, want %d", n, stored)
	}
}
