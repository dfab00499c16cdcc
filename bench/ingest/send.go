package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
)

func stamp(t time.Time) pcommon.Timestamp { return pcommon.NewTimestampFromTime(t) }

// sender sends one encoded request; nil means the server has taken all of it.
type sender interface {
	send(ctx context.Context, signal string, body []byte) error
	close()
}

// errBusy is an answer that asks to be tried again.
var errBusy = errors.New("the server asks to try again")

// grpcSender leaves the bytes as they are.
type grpcSender struct{ conn *grpc.ClientConn }

func dialGRPC(address string) (*grpcSender, error) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(asIs{})), grpc.WithWriteBufferSize(256<<10))
	if err != nil {
		return nil, err
	}
	return &grpcSender{conn}, nil
}

var grpcMethods = map[string]string{
	"traces":  "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
	"metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
	"logs":    "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}

func (s *grpcSender) send(ctx context.Context, signal string, body []byte) error {
	var reply []byte
	err := s.conn.Invoke(ctx, grpcMethods[signal], body, &reply)
	if status.Code(err) == codes.Unavailable {
		return fmt.Errorf("%w: %w", errBusy, err)
	}
	if err == nil && rejects(reply) {
		return fmt.Errorf("%s were rejected: %q", signal, reply)
	}
	return err
}

// rejects reports whether an answer has a partial success with anything in it.
// The Collector sends an empty one, of two bytes.
func rejects(reply []byte) bool { return len(reply) > 2 }

func (s *grpcSender) close() { _ = s.conn.Close() }

type asIs struct{}

func (asIs) Name() string { return "proto" }

func (asIs) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (asIs) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// httpSender sends OTLP/HTTP with protobuf.
type httpSender struct {
	base   string
	client *http.Client
}

func newHTTPSender(address string) *httpSender {
	return &httpSender{"http://" + address + "/v1/", &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 64, DisableCompression: true, WriteBufferSize: 256 << 10,
	}}}
}

func (s *httpSender) send(ctx context.Context, signal string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+signal, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	res, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	reply, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return err
	case res.StatusCode == http.StatusServiceUnavailable:
		return errBusy
	case res.StatusCode != http.StatusOK || rejects(reply):
		return fmt.Errorf("%s: %s: %q", signal, res.Status, reply)
	}
	return nil
}

func (s *httpSender) close() { s.client.CloseIdleConnections() }

// load sends a pool over and over.
type load struct {
	pool    *pool
	to      sender
	senders int
	// clock gives the newest time of the requests of a pass; nil is the time.
	clock func(pass int) time.Time
	// rate in items a second; 0 is as fast as the server answers.
	rate float64
}

// run sends the passes [from, to) and returns how many items were taken. What
// the server asks to try again is tried again.
func (l *load) run(ctx context.Context, from, to int) (sent, busy int64, err error) {
	var (
		wg       sync.WaitGroup
		items    atomic.Int64
		again    atomic.Int64
		mu       sync.Mutex
		failures []error
		started  = time.Now()
	)
	for s := range l.senders {
		wg.Go(func() {
			for pass := from; pass < to; pass++ {
				for i := s; i < len(l.pool.requests); i += l.senders {
					if ctx.Err() != nil {
						return
					}
					l.wait(ctx, started, items.Load())
					r := l.pool.requests[i]
					now := time.Now()
					if l.clock != nil {
						now = l.clock(pass)
					}
					r.pass(pass, now)
					n, err := l.once(ctx, r)
					again.Add(n)
					if err != nil {
						mu.Lock()
						failures = append(failures, err)
						mu.Unlock()
						return
					}
					items.Add(int64(r.items))
				}
			}
		})
	}
	wg.Wait()
	return items.Load(), again.Load(), errors.Join(failures...)
}

// once sends one request until it is taken.
func (l *load) once(ctx context.Context, r *request) (again int64, err error) {
	for {
		err = l.to.send(ctx, l.pool.path, r.body)
		if !errors.Is(err, errBusy) || ctx.Err() != nil {
			return again, err
		}
		again++
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// wait keeps the pace.
func (l *load) wait(ctx context.Context, started time.Time, items int64) {
	if l.rate <= 0 {
		return
	}
	early := time.Duration(float64(items)/l.rate*1e9) - time.Since(started)
	if early <= 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(early):
	}
}
