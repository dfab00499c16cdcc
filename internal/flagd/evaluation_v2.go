package flagd

import (
	"context"

	"connectrpc.com/connect"

	pb "buf.build/gen/go/open-feature/flagd/protocolbuffers/go/flagd/evaluation/v2"
)

// evaluationV2 is flagd.evaluation.v2, whose answers may leave the value open.
type evaluationV2 struct{ *Server }

func (s evaluationV2) ResolveBoolean(ctx context.Context, r *connect.Request[pb.ResolveBooleanRequest]) (*connect.Response[pb.ResolveBooleanResponse], error) {
	a, err := resolve(ctx, s.Server, r.Header(), r.Msg.GetFlagKey(), r.Msg.GetContext(), s.catalog.eval.ResolveBooleanValue)
	if err != nil {
		return nil, err
	}
	value, variant := a.pointers()
	return connect.NewResponse(&pb.ResolveBooleanResponse{Value: value, Variant: variant, Reason: a.reason, Metadata: a.metadata}), nil
}

func (s evaluationV2) ResolveString(ctx context.Context, r *connect.Request[pb.ResolveStringRequest]) (*connect.Response[pb.ResolveStringResponse], error) {
	a, err := resolve(ctx, s.Server, r.Header(), r.Msg.GetFlagKey(), r.Msg.GetContext(), s.catalog.eval.ResolveStringValue)
	if err != nil {
		return nil, err
	}
	value, variant := a.pointers()
	return connect.NewResponse(&pb.ResolveStringResponse{Value: value, Variant: variant, Reason: a.reason, Metadata: a.metadata}), nil
}

func (s evaluationV2) ResolveFloat(ctx context.Context, r *connect.Request[pb.ResolveFloatRequest]) (*connect.Response[pb.ResolveFloatResponse], error) {
	a, err := resolve(ctx, s.Server, r.Header(), r.Msg.GetFlagKey(), r.Msg.GetContext(), s.catalog.eval.ResolveFloatValue)
	if err != nil {
		return nil, err
	}
	value, variant := a.pointers()
	return connect.NewResponse(&pb.ResolveFloatResponse{Value: value, Variant: variant, Reason: a.reason, Metadata: a.metadata}), nil
}

func (s evaluationV2) ResolveInt(ctx context.Context, r *connect.Request[pb.ResolveIntRequest]) (*connect.Response[pb.ResolveIntResponse], error) {
	a, err := resolve(ctx, s.Server, r.Header(), r.Msg.GetFlagKey(), r.Msg.GetContext(), s.catalog.eval.ResolveIntValue)
	if err != nil {
		return nil, err
	}
	value, variant := a.pointers()
	return connect.NewResponse(&pb.ResolveIntResponse{Value: value, Variant: variant, Reason: a.reason, Metadata: a.metadata}), nil
}

func (s evaluationV2) ResolveObject(ctx context.Context, r *connect.Request[pb.ResolveObjectRequest]) (*connect.Response[pb.ResolveObjectResponse], error) {
	a, v, err := objectStruct(ctx, s.Server, r.Header(), r.Msg.GetFlagKey(), r.Msg.GetContext(), resolve[map[string]any])
	if err != nil {
		return nil, err
	}
	_, variant := a.pointers()
	return connect.NewResponse(&pb.ResolveObjectResponse{Value: v, Variant: variant, Reason: a.reason, Metadata: a.metadata}), nil
}

func (s evaluationV2) EventStream(ctx context.Context, r *connect.Request[pb.EventStreamRequest], stream *connect.ServerStream[pb.EventStreamResponse]) error {
	return s.follow(ctx, func(e notice) error {
		return stream.Send(&pb.EventStreamResponse{Type: e.kind, Data: e.data})
	})
}
