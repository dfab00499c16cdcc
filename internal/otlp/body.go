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

// release gives the memory back to the budget; the bytes read must not be used
// any more.
func (b *body) release() { b.budget.Release(b.held) }

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
	return b.readAll(src, make([]byte, 0, first))
}

func (b *body) readAll(src io.Reader, buf []byte) ([]byte, error) {
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
			if err := b.hold(int64(cap(buf))); err != nil {
				return nil, err
			}
			buf = append(make([]byte, 0, 2*cap(buf)), buf...)
		}
	}
}

func (b *body) tooLarge() error {
	return &httpError{http.StatusRequestEntityTooLarge,
		fault.Invalid("the request is larger than %d bytes: send smaller batches", b.limit)}
}
