//lint:file-ignore SA1019 older providers use what is deprecated

package flagd

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/structpb"

	"buf.build/gen/go/open-feature/flagd/connectrpc/go/flagd/sync/v1/syncv1connect"
	pb "buf.build/gen/go/open-feature/flagd/protocolbuffers/go/flagd/sync/v1"
	"github.com/open-feature/flagd/core/pkg/store"
)

// SyncHandler serves the sync protocol.
func (s *Server) SyncHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(syncv1connect.NewFlagSyncServiceHandler(syncV1{s}, connect.WithReadMaxBytes(maxBody)))
	return mux
}

// syncV1 is flagd.sync.v1.
type syncV1 struct{ *Server }

// selector reads the selector from the message, where older providers put
// it, or from the header.
func (syncV1) selector(inMessage string, h http.Header) (store.Selector, error) {
	text := h.Get(selectorHeader)
	if text == "" {
		text = inMessage
	}
	sel, err := store.NewSelector(text)
	if err != nil {
		return sel, connect.NewError(connect.CodeInvalidArgument, err)
	}
	return sel, nil
}

// SyncFlags sends the definitions now and after each change.
func (s syncV1) SyncFlags(ctx context.Context, r *connect.Request[pb.SyncFlagsRequest], stream *connect.ServerStream[pb.SyncFlagsResponse]) error {
	done, ok := s.openStream()
	if !ok {
		return connect.NewError(connect.CodeResourceExhausted, errors.New("too many open streams"))
	}
	defer done()
	sel, err := s.selector(r.Msg.GetSelector(), r.Header())
	if err != nil {
		return err
	}
	sent := ""
	for {
		state := s.catalog.current()
		text, err := s.catalog.configuration(ctx, sel)
		if err != nil {
			return connect.NewError(connect.CodeInternal, err)
		}
		if text != sent {
			if err := stream.Send(&pb.SyncFlagsResponse{FlagConfiguration: text}); err != nil {
				return err
			}
			sent = text
		}
		select {
		case <-ctx.Done():
			return nil
		case <-state.Changed():
		}
	}
}

// FetchAllFlags returns the definitions once.
func (s syncV1) FetchAllFlags(ctx context.Context, r *connect.Request[pb.FetchAllFlagsRequest]) (*connect.Response[pb.FetchAllFlagsResponse], error) {
	sel, err := s.selector(r.Msg.GetSelector(), r.Header())
	if err != nil {
		return nil, err
	}
	s.catalog.current()
	text, err := s.catalog.configuration(ctx, sel)
	if err != nil {
		return nil, connect.NewError(connect.CodeInternal, err)
	}
	return connect.NewResponse(&pb.FetchAllFlagsResponse{FlagConfiguration: text}), nil
}

// GetMetadata names the sources, as flagd does.
func (s syncV1) GetMetadata(context.Context, *connect.Request[pb.GetMetadataRequest]) (*connect.Response[pb.GetMetadataResponse], error) {
	var sources []string
	for _, d := range s.catalog.current().Documents() {
		sources = append(sources, d.Source)
	}
	meta, err := structpb.NewStruct(map[string]any{"sources": strings.Join(sources, ",")})
	if err != nil {
		return nil, connect.NewError(connect.CodeInternal, err)
	}
	return connect.NewResponse(&pb.GetMetadataResponse{Metadata: meta}), nil
}
