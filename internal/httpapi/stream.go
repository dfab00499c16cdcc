package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Stream tells connected browsers that something changed, by server-sent
// events. Messages are small; a client fetches what concerns it. A client
// that does not keep up is disconnected and reconnects: it refetches anyway.
// Safe for concurrent use.
type Stream struct {
	version  string
	patience time.Duration // of one write
	mu       sync.Mutex
	last     int64
	clients  map[chan message]struct{}
	closed   bool
}

type message struct {
	id    int64
	event string
	data  []byte
}

const (
	maxStreamClients = 256
	streamBuffer     = 256
	streamPing       = 15 * time.Second
	streamPatience   = 15 * time.Second
)

// NewStream returns a stream that greets with the version.
func NewStream(version string) *Stream {
	return &Stream{version: version, patience: streamPatience, clients: map[chan message]struct{}{}}
}

// Publish sends an event of a kind (change, validation, flag, loadtest,
// workflow, ingest) to every client. It never blocks.
func (s *Stream) Publish(event string, data any) {
	raw, err := json.Marshal(data)
	if err != nil {
		return // our own small values always marshal
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	for c := range s.clients {
		select {
		case c <- message{s.last, event, raw}:
		default:
			delete(s.clients, c)
			close(c)
		}
	}
}

// Close disconnects every client, so that the server can stop.
func (s *Stream) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for c := range s.clients {
		delete(s.clients, c)
		close(c)
	}
}

func (s *Stream) subscribe() (chan message, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.clients) >= maxStreamClients {
		return nil, false
	}
	c := make(chan message, streamBuffer)
	s.clients[c] = struct{}{}
	return c, true
}

func (s *Stream) unsubscribe(c chan message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.clients[c]; ok {
		delete(s.clients, c)
		close(c)
	}
}

// ServeHTTP implements http.Handler.
func (s *Stream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, ok := s.subscribe()
	if !ok {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "too many clients", http.StatusServiceUnavailable)
		return
	}
	defer s.unsubscribe(c)
	rc := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	// A client that reads nothing would otherwise hold its goroutine for ever.
	hurry := func() { _ = rc.SetWriteDeadline(time.Now().Add(s.patience)) } // best effort: not every writer can
	defer func() { _ = rc.SetWriteDeadline(time.Time{}) }()                 // the connection's next answer has its own time
	hurry()
	fmt.Fprintf(w, "retry: 1000\nevent: hello\ndata: {\"version\":%q}\n\n", s.version)
	if rc.Flush() != nil {
		return
	}
	ping := time.NewTicker(streamPing)
	defer ping.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-ping.C:
			hurry()
			fmt.Fprint(w, ": ping\n\n")
		case m, open := <-c:
			if !open {
				return
			}
			hurry()
			fmt.Fprintf(w, "id: %d\nevent: %s\ndata: %s\n\n", m.id, m.event, m.data)
		}
		if rc.Flush() != nil {
			return
		}
	}
}
