package otlp

import (
	"errors"
	"io"
	"net/http"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sync/semaphore"

	"github.com/tidegate-io/tidegate/fault"
)

// httpError is an error that HTTP has a status of its own for.
type httpError struct {
	status int
	error
}

func (e *httpError) Unwrap() error { return e.error }

// body reads the body of a request into memory: no more than limit bytes after
// decompression, and no more than the budget of all requests has left.
type body struct {
	budget *semaphore.Weighted
	limit  int64
	held   int64
	buf    *[]byte // borrowed
}

// chunk is what the budget is taken in.
const chunk = 64 << 10

func (b *body) hold(n int64) error {
	if !b.budget.TryAcquire(n) {
		return errBusy
	}
	b.held += n
	return nil
}

// release gives the memory back; the bytes read must not be used any more.
func (b *body) release() {
	if b.buf != nil {
		giveBack(b.buf)
	}
	b.budget.Release(b.held)
}

func (b *body) read(req *http.Request) ([]byte, error) {
	if req.ContentLength > b.limit {
		return nil, b.tooLarge()
	}
	var src io.Reader = req.Body
	switch enc := req.Header.Get("Content-Encoding"); enc {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(io.LimitReader(req.Body, b.limit))
		if err != nil {
			return nil, fault.Invalid("body is not gzip: %w", err)
		}
		defer z.Close()
		src = z
	default:
		return nil, &httpError{http.StatusUnsupportedMediaType, fault.Invalid("Content-Encoding %q: expected gzip or none", enc)}
	}
	first := int64(chunk)
	if src == req.Body && req.ContentLength >= 0 {
		first = req.ContentLength + 1 // one more, to see the end
	}
	if err := b.hold(first); err != nil {
		return nil, err
	}
	b.buf = borrow(int(first))
	return b.readAll(src, first)
}

// readAll reads until the end; room is what the budget has granted so far.
func (b *body) readAll(src io.Reader, room int64) ([]byte, error) {
	buf := (*b.buf)[:0:room]
	for {
		n, err := src.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if int64(len(buf)) > b.limit {
			return nil, b.tooLarge()
		}
		switch {
		case errors.Is(err, io.EOF):
			return buf, nil
		case err != nil:
			return nil, fault.Invalid("reading the body: %w", err)
		}
		if len(buf) == cap(buf) {
			if err := b.hold(room); err != nil {
				return nil, err
			}
			room *= 2
			if int64(cap(*b.buf)) < room {
				*b.buf = append(make([]byte, 0, room), buf...)
			}
			buf = (*b.buf)[:len(buf):room]
		}
	}
}

func (b *body) tooLarge() error {
	return &httpError{http.StatusRequestEntityTooLarge,
		fault.Invalid("the request is larger than %d bytes: send smaller batches", b.limit)}
}
