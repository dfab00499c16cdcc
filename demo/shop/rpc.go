package shop

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"runtime"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/tidegate-io/tidegate/fault"
)

// method is one gRPC method with its messages, used by both ends.
type method[Req, Resp any] struct {
	peer    string // which of Services serves it
	service string
	name    string
}

// call calls the method at the peer that serves it.
func (m method[Req, Resp]) call(ctx context.Context, p peers, req Req) (Resp, error) {
	var resp Resp
	conn := p[m.peer]
	if conn == nil {
		return resp, status.Errorf(codes.Unavailable, "no address of %s is known", m.peer)
	}
	err := conn.Invoke(ctx, "/"+m.service+"/"+m.name, &req, &resp)
	return resp, err
}

// handle makes the method served by h. What h returns is reported on the
// call's span when it began here, and so is a panic.
func (m method[Req, Resp]) handle(e env, h func(context.Context, Req) (Resp, error)) grpc.MethodDesc {
	serve := func(ctx context.Context, req any) (_ any, err error) {
		defer func() {
			if v := recover(); v != nil {
				err = fromPanic(v)
			}
			err = e.report(ctx, err)
		}()
		return h(ctx, *req.(*Req))
	}
	return grpc.MethodDesc{
		MethodName: m.name,
		Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			req := new(Req)
			if err := decode(req); err != nil {
				return nil, err
			}
			return serve(ctx, req)
		},
	}
}

// report records an error that began in this service as an exception on the
// current span, logs it, and gives it a gRPC status.
func (e env) report(ctx context.Context, err error) error {
	var own interface {
		error
		Callers() []uintptr
	}
	if !errors.As(err, &own) {
		return err // nil, or the status of a call further down
	}
	recordException(trace.SpanFromContext(ctx), own, own.Callers())
	e.log.ErrorContext(ctx, err.Error())
	return status.Error(codes.Internal, err.Error())
}

// panicError is a panic as an error.
type panicError struct {
	message string
	callers []uintptr
}

func (p *panicError) Error() string      { return p.message }
func (p *panicError) Callers() []uintptr { return p.callers }

func fromPanic(v any) error {
	pcs := make([]uintptr, 64)
	err := &panicError{message: "panic", callers: pcs[:runtime.Callers(3, pcs)]}
	switch v := v.(type) {
	case error:
		err.message = v.Error()
	case string:
		err.message = v
	}
	return err
}

// service is a gRPC service.
type service struct {
	name    string
	methods []grpc.MethodDesc
}

// serveGRPC serves until ctx ends.
func serveGRPC(ctx context.Context, ln net.Listener, e env, s service) error {
	srv := grpc.NewServer(
		grpc.ForceServerCodec(jsonCodec{}),
		grpc.StatsHandler(otelgrpc.NewServerHandler(
			otelgrpc.WithTracerProvider(e.tracers), otelgrpc.WithMeterProvider(e.meters), otelgrpc.WithPropagators(e.propagator))),
		grpc.MaxRecvMsgSize(1<<20))
	srv.RegisterService(&grpc.ServiceDesc{ServiceName: s.name, HandlerType: (*any)(nil), Methods: s.methods}, s)
	stop := context.AfterFunc(ctx, func() {
		force := time.AfterFunc(stopTimeout, srv.Stop)
		defer force.Stop()
		srv.GracefulStop()
	})
	defer stop()
	return srv.Serve(ln) // nil after GracefulStop and Stop
}

// peers are connections to the other services.
type peers map[string]*grpc.ClientConn

func dial(addresses map[string]string, tel *telemetry) (peers, error) {
	p := peers{}
	for name, address := range addresses {
		conn, err := grpc.NewClient("passthrough:///"+address,
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.ForceCodec(jsonCodec{})),
			grpc.WithStatsHandler(otelgrpc.NewClientHandler(
				otelgrpc.WithTracerProvider(tel.tracers), otelgrpc.WithMeterProvider(tel.meters), otelgrpc.WithPropagators(tel.propagator))))
		if err != nil {
			p.close()
			return nil, fault.Invalid("shop: address of %s: %w", name, err)
		}
		p[name] = conn
	}
	return p, nil
}

func (p peers) close() {
	for _, conn := range p {
		conn.Close()
	}
}

// unreachable returns the services that no connection is open to, and begins
// to open one.
func (p peers) unreachable() []string {
	var out []string
	for name, conn := range p {
		if conn.GetState() != connectivity.Ready {
			conn.Connect()
			out = append(out, name)
		}
	}
	return out
}

// jsonCodec carries messages as JSON; on the wire application/grpc+json.
type jsonCodec struct{}

func (jsonCodec) Name() string                       { return "json" }
func (jsonCodec) Marshal(v any) ([]byte, error)      { return json.Marshal(v) }
func (jsonCodec) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }
