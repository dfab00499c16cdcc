package otlp

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// tokens are what senders must show one of, as "Authorization: Bearer …", which
// exporters send when OTEL_EXPORTER_OTLP_HEADERS says so. No tokens admit
// everybody. Hashes are compared, so that the time taken tells nothing.
type tokens [][sha256.Size]byte

func newTokens(all []string) (t tokens) {
	for _, s := range all {
		t = append(t, sha256.Sum256([]byte(s)))
	}
	return t
}

const unauthenticated = "a token is needed: Authorization: Bearer TOKEN"

func (t tokens) admit(authorization string) bool {
	if len(t) == 0 {
		return true
	}
	scheme, token, ok := strings.Cut(authorization, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	sum := sha256.Sum256([]byte(token))
	found := 0
	for i := range t {
		found |= subtle.ConstantTimeCompare(t[i][:], sum[:])
	}
	return found == 1
}

// admitCall checks the metadata of a gRPC call.
func (t tokens) admitCall(ctx context.Context) error {
	if len(t) == 0 {
		return nil
	}
	if shown := metadata.ValueFromIncomingContext(ctx, "authorization"); len(shown) == 1 && t.admit(shown[0]) {
		return nil
	}
	return status.Error(codes.Unauthenticated, unauthenticated)
}
