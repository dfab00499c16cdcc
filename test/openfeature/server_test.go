package openfeature

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/flag"
	"github.com/tidegate-io/tidegate/internal/flagd"
	"github.com/tidegate-io/tidegate/internal/state"
)

// definitions have a flag of each type, one with targeting, one that is
// disabled and one that leaves its value to the code.
const definitions = `{
  "metadata": {"service": "payment"},
  "$evaluators": {"insider": {"ends_with": [{"var": "email"}, "@example.com"]}},
  "flags": {
    "paymentServiceFailure": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off"},
    "banner": {"state": "ENABLED", "variants": {"red": "#f00", "blue": "#00f"}, "defaultVariant": "blue",
      "targeting": {"if": [{"$ref": "insider"}, "red", null]}},
    "ratio": {"state": "ENABLED", "variants": {"half": 0.5, "full": 1}, "defaultVariant": "half"},
    "workers": {"state": "ENABLED", "variants": {"few": 2, "many": 64}, "defaultVariant": "many"},
    "theme": {"state": "ENABLED", "variants": {"dark": {"ink": "white", "size": 12}}, "defaultVariant": "dark"},
    "retired": {"state": "DISABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on"},
    "byCode": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": null}
  }
}`

// server is everything that serves flags, as the binary wires it.
type server struct {
	flags                   *flag.Manager
	changes                 *change.Log
	evaluation, sync, ofrep *net.TCPAddr
}

func start(t *testing.T) *server {
	t.Helper()
	dir := t.TempDir()
	db, err := state.Open(t.Context(), state.Config{URL: "sqlite://" + filepath.Join(dir, "state.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	file := filepath.Join(dir, "shop.flagd.json")
	if err := os.WriteFile(file, []byte(definitions), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &server{}
	if s.changes, err = change.New(change.Config{Store: db.Changes()}); err != nil {
		t.Fatal(err)
	}
	s.flags, err = flag.New(flag.Config{Store: db.Flags(), Recorder: s.changes, Sources: []flag.Source{{Path: file}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.flags.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p := s.flags.State().Problems(); len(p) > 0 {
		t.Fatal(p)
	}
	s.serve(t)
	return s
}

// serve listens on free ports until the test ends.
func (s *server) serve(t *testing.T) {
	t.Helper()
	var listeners [3]net.Listener
	for i, addr := range []**net.TCPAddr{&s.evaluation, &s.sync, &s.ofrep} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners[i], *addr = l, l.Addr().(*net.TCPAddr)
	}
	srv, err := flagd.New(flagd.Config{Flags: s.flags, Evaluation: listeners[0], Sync: listeners[1], OFREP: listeners[2]})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func (s *server) set(t *testing.T, key, variant string) {
	t.Helper()
	if _, _, err := s.flags.Set(t.Context(), flag.Change{Key: key, Variant: variant, Who: "ann", Reason: "a test"}); err != nil {
		t.Fatal(err)
	}
}
