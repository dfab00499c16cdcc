// Package flagd serves feature flags to unmodified OpenFeature SDKs over the
// three protocols that flagd speaks:
//
//   - evaluation (flagd.evaluation.v1 and v2, and the older schema.v1), as gRPC,
//     gRPC-Web and Connect, conventionally on :8013: the server evaluates, an
//     event stream tells providers which flags changed;
//   - sync (flagd.sync.v1), gRPC, conventionally on :8015: in-process
//     providers receive the definitions and evaluate themselves;
//   - OFREP, the OpenFeature Remote Evaluation Protocol, plain HTTP,
//     conventionally on :8016.
//
// Evaluation is done by flagd's own evaluator, so targeting means exactly
// what it means there. What is served is [flag.State], including runtime
// changes; a request that begins after a change returned sees it.
//
// A provider may select flags with the header flagd-selector:
// "flagSetId=shop" for one set, "source=flags/shop.flagd.json" for one file.
// Without it a key that several sets define is served from the last of them
// in alphabetical order.
//
//	srv, err := flagd.New(flagd.Config{Flags: manager, Evaluation: l1, Sync: l2, OFREP: l3})
//	err = srv.Run(ctx) // until ctx ends and all streams have been told
package flagd

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/flag"
)

// Limits on what clients send and hold open.
const (
	maxBody    = 1 << 20 // bytes of a request
	maxHeader  = 64 << 10
	maxStreams = 10_000
	maxKey     = 255

	headerTimeout   = 10 * time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 5 * time.Second
)

// Flags is where the flags come from; *flag.Manager is one.
type Flags interface {
	State() *flag.State
}

// Config configures a [Server].
type Config struct {
	Flags Flags
	// Evaluation, Sync and OFREP are what to listen on; nil ones are not
	// served. Run closes them.
	Evaluation, Sync, OFREP net.Listener
	// KeepAlive is how often an idle event stream is written to; default 20 s.
	KeepAlive time.Duration
	Logger    *slog.Logger // optional
}

// Server serves flags. Its handlers may also be mounted elsewhere; they are
// safe for concurrent use.
type Server struct {
	catalog   *catalog
	listeners map[net.Listener]http.Handler
	keepAlive time.Duration
	logger    *slog.Logger
	streams   atomic.Int64
}

// New returns a Server for cfg.
func New(cfg Config) (*Server, error) {
	if cfg.Flags == nil {
		return nil, fault.Invalid("flagd server: flags are required")
	}
	if cfg.KeepAlive <= 0 {
		cfg.KeepAlive = 20 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	c, err := newCatalog(cfg.Flags, cfg.Logger)
	if err != nil {
		return nil, err
	}
	s := &Server{catalog: c, keepAlive: cfg.KeepAlive, logger: cfg.Logger, listeners: map[net.Listener]http.Handler{}}
	for l, h := range map[net.Listener]http.Handler{cfg.Evaluation: s.EvaluationHandler(), cfg.Sync: s.SyncHandler(), cfg.OFREP: s.OFREPHandler()} {
		if l != nil {
			s.listeners[l] = h
		}
	}
	return s, nil
}

// Run serves until ctx ends, then closes streams and connections. It returns
// an error only when a listener fails.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for l, h := range s.listeners {
		srv := &http.Server{
			Handler: h, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
			Protocols: new(http.Protocols),
			// Streams end when ctx does.
			BaseContext: func(net.Listener) context.Context { return ctx },
			ErrorLog:    slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
		}
		srv.Protocols.SetHTTP1(true)
		srv.Protocols.SetUnencryptedHTTP2(true) // gRPC without TLS
		group.Go(func() error {
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
		group.Go(func() error {
			<-ctx.Done()
			return stop(srv)
		})
	}
	return group.Wait()
}

// stop ends a server gracefully, and after a while in any case.
func stop(srv *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if srv.Shutdown(ctx) == nil {
		return nil
	}
	return srv.Close()
}

// openStream accounts for a stream; done must be called when it ends.
func (s *Server) openStream() (done func(), ok bool) {
	if s.streams.Add(1) > maxStreams {
		s.streams.Add(-1)
		return nil, false
	}
	return func() { s.streams.Add(-1) }, true
}
