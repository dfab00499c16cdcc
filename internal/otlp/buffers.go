package otlp

import "sync"

// buffers recycles the memory of request bodies: a fresh one would be cleared,
// and collected, for every request.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxRecycled is the largest buffer that is kept, in bytes.
const maxRecycled = 2 << 20

// borrow returns an empty buffer with room for n bytes.
func borrow(n int) *[]byte {
	b := buffers.Get().(*[]byte)
	if cap(*b) < n {
		// Requests of one sender are of much the same size: a little room
		// makes the buffer fit the next one.
		*b = make([]byte, 0, n+n/4)
	}
	return b
}

// giveBack recycles a buffer; nobody may use its bytes any more.
func giveBack(b *[]byte) {
	if cap(*b) <= maxRecycled {
		*b = (*b)[:0]
		buffers.Put(b)
	}
}
