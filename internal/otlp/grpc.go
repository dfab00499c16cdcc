package otlp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip"  // senders compress with it
	_ "google.golang.org/grpc/encoding/proto" // for other services on the server
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"

	"github.com/tidegate-io/tidegate/fault"
)

// ServeGRPC serves OTLP/gRPC on l until ctx ends, and then for at most five
// more seconds what has begun. It closes l.
func (r *Receiver) ServeGRPC(ctx context.Context, l net.Listener) error {
	srv := grpc.NewServer(r.ServerOptions()...)
	r.RegisterGRPC(srv)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err := <-served:
		srv.Stop()
		return fmt.Errorf("serving OTLP/gRPC: %w", err)
	case <-ctx.Done():
	}
	hard := time.AfterFunc(5*time.Second, srv.Stop)
	defer hard.Stop()
	srv.GracefulStop()
	<-served
	return nil
}

// ServerOptions are what a server needs for RegisterGRPC: the limits, and a
// codec that hands requests over as bytes.
func (r *Receiver) ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(codec{encoding.GetCodecV2("proto")}),
		grpc.MaxRecvMsgSize(int(r.cfg.Limits.Request)),
		grpc.MaxConcurrentStreams(256),
		// Requests are large and follow each other: room for whole ones saves
		// most of the system calls for reading and for granting more.
		grpc.ReadBufferSize(128 << 10),
		grpc.InitialWindowSize(1 << 20),
		grpc.InitialConnWindowSize(4 << 20),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	}
}

// RegisterGRPC adds the three OTLP services to a server made with ServerOptions.
func (r *Receiver) RegisterGRPC(srv grpc.ServiceRegistrar) {
	for s, name := range [...]string{
		traces:  "opentelemetry.proto.collector.trace.v1.TraceService",
		metrics: "opentelemetry.proto.collector.metrics.v1.MetricsService",
		logs:    "opentelemetry.proto.collector.logs.v1.LogsService",
	} {
		srv.RegisterService(&grpc.ServiceDesc{
			ServiceName: name,
			HandlerType: (*any)(nil),
			Methods:     []grpc.MethodDesc{{MethodName: "Export", Handler: r.export(signal(s))}},
		}, nil)
	}
}

func (r *Receiver) export(s signal) grpc.MethodHandler {
	return func(_ any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		if err := r.tokens.admitCall(ctx); err != nil {
			return nil, err
		}
		req := new(message)
		if err := decode(req); err != nil {
			return nil, err
		}
		defer req.free()
		handle := func(ctx context.Context, _ any) (any, error) {
			out, err := r.withinBudget(ctx, s, req.bytes())
			if err != nil {
				r.log(ctx, s, err)
				return nil, refusal(err).Err()
			}
			return &message{reply: out.proto()}, nil
		}
		if interceptor == nil {
			return handle(ctx, nil)
		}
		info := &grpc.UnaryServerInfo{FullMethod: "Export"}
		return interceptor(ctx, req, info, handle)
	}
}

// withinBudget receives the request unless too much is being worked on.
func (r *Receiver) withinBudget(ctx context.Context, s signal, req []byte) (outcome, error) {
	n := int64(len(req))
	if !r.budget.TryAcquire(n) {
		r.counters.refused.Add(1)
		return outcome{}, errBusy
	}
	defer r.budget.Release(n)
	return r.receive(ctx, s, req)
}

var errBusy = fault.Unavailable("too many requests in flight, try again")

// log writes what is wrong on our side; the sender is told in any case.
func (r *Receiver) log(ctx context.Context, s signal, err error) {
	if fault.Is(err, fault.KindInvalid) || errors.Is(err, errBusy) || ctx.Err() != nil {
		return
	}
	r.cfg.Logger.ErrorContext(ctx, "OTLP request refused, the sender will retry", "signal", signalNames[s], "error", err)
}

// message is a request or an answer that is left encoded.
type message struct {
	req   *[]byte // borrowed; nil when the request is empty
	reply []byte
}

func (m *message) bytes() []byte {
	if m.req == nil {
		return nil
	}
	return *m.req
}

func (m *message) free() {
	if m.req != nil {
		giveBack(m.req)
	}
}

// codec passes messages through as bytes, and leaves other types to protobuf.
type codec struct{ proto encoding.CodecV2 }

func (c codec) Name() string { return "proto" }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if m, ok := v.(*message); ok {
		return mem.BufferSlice{mem.SliceBuffer(m.reply)}, nil
	}
	return c.proto.Marshal(v)
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(*message)
	if !ok {
		return c.proto.Unmarshal(data, v)
	}
	if n := data.Len(); n > 0 {
		m.req = borrow(n)
		*m.req = (*m.req)[:n]
		data.CopyTo(*m.req)
	}
	return nil
}
