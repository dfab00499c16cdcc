//lint:file-ignore SA1019 older providers use what is deprecated

package flagd

import (
	"context"

	"connectrpc.com/connect"

	pb "buf.build/gen/go/open-feature/flagd/protocolbuffers/go/schema/v1"
)

// schemaV1 is schema.v1, which older providers use.
type schemaV1 struct{ *Server }

func (s schemaV1) ResolveBoolean(ctx context.Context, r *connect.Request[pb.ResolveBooleanRequest]) (*connect.Response[pb.ResolveBooleanResponse], error) {
	a, err := resolveOrFail(ctx, s.Server, r.Header(), r.Msg.GetFlagKey(), r.Msg.GetContext(), s.catalog.eval.ResolveBooleanValue)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&pb.ResolveBooleanResponse{Value: a.value, Variant: a.variant, Reason: a.reason, Metadata: a.metadata}), nil
}

func (s schemaV1) ResolveString(ctx context.Context, r *connect.Request[pb.ResolveStringRequest]) (*connect.Response[pb.ResolveStringResponse], error) {
	a, err := resolveOrFail(ctx, s.Server, r.Header(), r.Msg.GetFlagKey(), r.Msg.GetContext(), s.catalog.eval.ResolveStringValue)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&pb.ResolveStringResponse{Value: a.value, Variant: a.variant, Reason: a.reason, Metadata: a.metadata}), nil
}

func (s schemaV1) ResolveFloat(ctx context.Context, r *connect.Request[pb.ResolveFloatRequest]) (*connect.Response[pb.ResolveFloatResponse], error) {
	a, err := resolveOrFail(ctx, s.Server, r.Header(), r.Msg.GetFlagKey(), r.Msg.GetContext(), s.catalog.eval.ResolveFloatValue)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&pb.ResolveFloatResponse{Value: a.value, Variant: a.variant, Reason: a.reason, Metadata: a.metadata}), nil
}

func (s schemaV1) ResolveInt(ctx context.Context, r *connect.Request[pb.ResolveIntRequest]) (*connect.Response[pb.ResolveIntResponse], error) {
	a, err := resolveOrFail(ctx, s.Server, r.Header(), r.Msg.GetFlagKey(), r.Msg.GetContext(), s.catalog.eval.ResolveIntValue)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&pb.ResolveIntResponse{Value: a.value, Variant: a.variant, Reason: a.reason, Metadata: a.metadata}), nil
}

func (s schemaV1) ResolveObject(ctx context.Context, r *connect.Request[pb.ResolveObjectRequest]) (*connect.Response[pb.ResolveObjectResponse], error) {
	a, v, err := objectStruct(ctx, s.Server, r.Header(), r.Msg.GetFlagKey(), r.Msg.GetContext(), resolveOrFail[map[string]any])
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&pb.ResolveObjectResponse{Value: v, Variant: a.variant, Reason: a.reason, Metadata: a.metadata}), nil
}

func (s schemaV1) ResolveAll(ctx context.Context, r *connect.Request[pb.ResolveAllRequest]) (*connect.Response[pb.ResolveAllResponse], error) {
	entries, _, err := s.resolveAll(ctx, r.Header(), r.Msg.GetContext())
	if err != nil {
		return nil, err
	}
	flags := make(map[string]*pb.AnyFlag, len(entries))
	for _, e := range entries {
		f := &pb.AnyFlag{Reason: e.reason, Variant: e.variant}
		switch {
		case e.value.boolean != nil:
			f.Value = &pb.AnyFlag_BoolValue{BoolValue: *e.value.boolean}
		case e.value.text != nil:
			f.Value = &pb.AnyFlag_StringValue{StringValue: *e.value.text}
		case e.value.number != nil:
			f.Value = &pb.AnyFlag_DoubleValue{DoubleValue: *e.value.number}
		case e.value.object != nil:
			f.Value = &pb.AnyFlag_ObjectValue{ObjectValue: e.value.object}
		}
		flags[e.key] = f
	}
	return connect.NewResponse(&pb.ResolveAllResponse{Flags: flags}), nil
}

func (s schemaV1) EventStream(ctx context.Context, r *connect.Request[pb.EventStreamRequest], stream *connect.ServerStream[pb.EventStreamResponse]) error {
	return s.follow(ctx, func(e notice) error {
		return stream.Send(&pb.EventStreamResponse{Type: e.kind, Data: e.data})
	})
}
