package selfhealing

import (
	"net"
	"net/http"
	"time"
)

// outside is something that belongs neither to the shop nor to Tidegate.
type outside struct {
	url    string
	server *http.Server
	fail   func(bool)
}

func serve(h http.Handler) (*outside, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	o := &outside{url: "http://" + l.Addr().String(), server: &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}}
	go func() { _ = o.server.Serve(l) }() // ends with close
	return o, nil
}

func (o *outside) close() { _ = o.server.Close() }
