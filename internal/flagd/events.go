package flagd

import (
	"bytes"
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/tidegate-io/tidegate/flag"
)

// Kinds of notices on an event stream, as providers know them.
const (
	noticeReady     = "provider_ready"
	noticeChange    = "configuration_change"
	noticeKeepAlive = "keep_alive"
	noticeShutdown  = "provider_shutdown"
)

// notice is one message on an event stream.
type notice struct {
	kind string
	data *structpb.Struct
}

// follow sends a notice for each change of the flags until ctx ends.
func (s *Server) follow(ctx context.Context, send func(notice) error) error {
	done, ok := s.openStream()
	if !ok {
		return connect.NewError(connect.CodeResourceExhausted, errors.New("too many open streams"))
	}
	defer done()
	state := s.catalog.current()
	if err := send(notice{kind: noticeReady}); err != nil {
		return err
	}
	tick := time.NewTicker(s.keepAlive)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			// The client may be gone; then there is nobody to tell.
			_ = send(notice{kind: noticeShutdown})
			return nil
		case <-tick.C:
			if err := send(notice{kind: noticeKeepAlive}); err != nil {
				return err
			}
		case <-state.Changed():
			next := s.catalog.current()
			changed := differences(state, next)
			state = next
			if len(changed) == 0 {
				continue
			}
			data, err := structpb.NewStruct(map[string]any{"flags": changed})
			if err != nil {
				return connect.NewError(connect.CodeInternal, err)
			}
			if err := send(notice{kind: noticeChange, data: data}); err != nil {
				return err
			}
		}
	}
}

// differences names the flags that evaluate differently, in the form that
// providers expect: by key, with what happened to each.
func differences(old, now *flag.State) map[string]any {
	type id struct{ set, key string }
	before := make(map[id]flag.Flag, len(old.Flags()))
	for _, f := range old.Flags() {
		before[id{f.Set, f.Key}] = f
	}
	out := map[string]any{}
	say := func(f flag.Flag, what string) {
		out[f.Key] = map[string]any{"type": what, "source": f.Source, "flagKey": f.Key}
	}
	for _, f := range now.Flags() {
		k := id{f.Set, f.Key}
		was, known := before[k]
		delete(before, k)
		switch {
		case !known:
			say(f, "write")
		case !same(was, f):
			say(f, "update")
		}
	}
	for _, f := range before {
		say(f, "delete")
	}
	return out
}

// same reports whether two definitions evaluate alike.
func same(a, b flag.Flag) bool {
	if a.State != b.State || a.DefaultVariant != b.DefaultVariant || !bytes.Equal(a.Targeting, b.Targeting) || len(a.Variants) != len(b.Variants) {
		return false
	}
	for name, v := range a.Variants {
		if !bytes.Equal(v, b.Variants[name]) {
			return false
		}
	}
	return true
}
