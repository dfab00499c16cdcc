package httpapi

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestStream(t *testing.T) {
	s := NewStream("v1")
	srv := httptest.NewServer(s)
	defer srv.Close()
	defer s.Close()
	res, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	next := func(prefix string) string {
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), prefix) {
				return lines.Text()
			}
		}
		t.Fatalf("the stream ended before %q", prefix)
		return ""
	}
	if got := next("event:"); got != "event: hello" { // the client is subscribed before it is greeted
		t.Fatal(got)
	}
	s.Publish("flag", map[string]string{"id": "shop/x"})
	if got := next("event:"); got != "event: flag" {
		t.Error(got)
	}
	if got := next("data:"); got != `data: {"id":"shop/x"}` {
		t.Error(got)
	}
	s.Close()
	for lines.Scan() { // ends: the client was disconnected
	}
	if res, err := http.Get(srv.URL); err != nil || res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("after Close: %v %v", res, err)
	}
}

func TestSlowClientIsDropped(t *testing.T) {
	s := NewStream("v1")
	c, ok := s.subscribe()
	if !ok {
		t.Fatal("refused")
	}
	for range streamBuffer + 1 {
		s.Publish("change", 1)
	}
	n := 0
	for range c { // ends only when closed
		n++
	}
	if n != streamBuffer {
		t.Errorf("%d messages, want %d", n, streamBuffer)
	}
	s.unsubscribe(c) // harmless
}

// A client that keeps its connection and reads nothing does not hold a
// goroutine for ever.
func TestClientThatDoesNotReadIsDisconnected(t *testing.T) {
	s := NewStream("v1")
	s.patience = 50 * time.Millisecond
	ended := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		s.ServeHTTP(w, r)
	}))
	defer srv.CloseClientConnections()
	defer s.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil { // it is subscribed
		t.Fatal(err)
	}
	large := strings.Repeat("x", 1<<20)
	for range 64 { // more than sockets buffer
		s.Publish("change", large)
	}
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("still being served")
	}
}
