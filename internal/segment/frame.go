package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// A frame is a header and a compressed body, integers little-endian:
//
//	magic u32 | checksum u32 | codec u32 | stored u32 | raw u32 | body [stored]byte
//
// The checksum (CRC-32C) covers everything after itself. The body decompresses
// to raw bytes of entries, each
//
//	arrival i64 (nanoseconds since the epoch) | length u32 | request [length]byte
const (
	frameMagic  = 0x31464754 // "TGF1"
	frameHeader = 20
	entryHeader = 12
)

// Codecs of a frame's body. S2 costs a sixth of zstd and is for data that
// arrives; zstd is for data that stays, by columns where there is a Layout.
const (
	codecS2      = 1
	codecZstd    = 2
	codecColumns = 3
)

// Entry is one stored request.
type Entry struct {
	Arrival time.Time
	Request []byte // read-only

	parsed *atomic.Value
}

// Parsed returns what parse makes of the request, which is kept for the next
// time as long as the entry is in the cache: all who ask share it and must not
// change it. It may hold on to the request. One T for one log.
func Parsed[T any](e Entry, parse func(request []byte) T) T {
	if v, ok := e.parsed.Load().(T); ok {
		return v
	}
	v := parse(e.Request)
	e.parsed.Store(v)
	return v
}

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)

	errNoFrame = errors.New("no frame here")
	errTorn    = errors.New("frame is cut short")
	errSum     = errors.New("checksum does not fit")
	errBody    = errors.New("frame body is malformed")
)

// zstdEncoder, columnEncoder and zstdDecoder are safe for concurrent use through EncodeAll
// and DecodeAll; the constructors fail only on invalid options.
var (
	zstdEncoder, _ = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	// Within a column there are few matches to look for, and entropy coding is
	// most of the gain.
	columnEncoder, _ = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithAllLitEntropyCompression(true), zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true))
	zstdDecoder, _   = zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(maxFrameBytes), zstd.WithDecoderLowmem(true))
)

// appendEntry adds one entry to an uncompressed body.
func appendEntry(body []byte, arrival int64, request []byte) []byte {
	body = binary.LittleEndian.AppendUint64(body, uint64(arrival))
	body = binary.LittleEndian.AppendUint32(body, uint32(len(request)))
	return append(body, request...)
}

// smallBody is the size below which columns do not pay: their definitions take
// more than they save.
const smallBody = 16 << 10

// appendStaying appends body to dst as a frame of data that stays.
func appendStaying(dst, body []byte, layout Layout) []byte {
	at := len(dst)
	if layout != nil && len(body) >= smallBody {
		if out, err := appendColumns(append(dst, make([]byte, frameHeader)...), body, layout); err == nil {
			return sealFrame(out, at, len(body), codecColumns)
		}
	}
	return appendFrame(dst[:at], body, codecZstd)
}

// appendFrame compresses body and appends it to dst as a frame.
func appendFrame(dst, body []byte, codec uint32) []byte {
	at := len(dst)
	if codec == codecZstd {
		dst = append(dst, make([]byte, frameHeader)...)
		dst = zstdEncoder.EncodeAll(body, dst)
	} else {
		need := at + frameHeader + s2.MaxEncodedLen(len(body))
		if cap(dst) < need {
			dst = append(make([]byte, 0, need), dst...)
		}
		stored := s2.Encode(dst[at+frameHeader:need], body)
		dst = dst[:at+frameHeader+len(stored)]
	}
	return sealFrame(dst, at, len(body), codec)
}

// sealFrame fills in the header of the frame that begins at dst[at:].
func sealFrame(dst []byte, at, raw int, codec uint32) []byte {
	h := dst[at:]
	binary.LittleEndian.PutUint32(h[0:], frameMagic)
	binary.LittleEndian.PutUint32(h[8:], codec)
	binary.LittleEndian.PutUint32(h[12:], uint32(len(h)-frameHeader))
	binary.LittleEndian.PutUint32(h[16:], uint32(raw))
	binary.LittleEndian.PutUint32(h[4:], crc32.Checksum(h[8:], castagnoli))
	return dst
}

// frame is one frame as read.
type frame struct {
	body  []byte // decompressed
	size  int64  // on disk, header included
	codec uint32
}

// storedFrame is one frame as it is on disk, checked.
type storedFrame struct {
	bytes []byte // the body, compressed
	raw   int    // its size when it is not
	codec uint32
}

// readFrame reads, checks and decompresses the frame at off, where limit bytes
// are there. A frame that is not whole is one of the errors above; other errors
// are of the file.
func readFrame(r io.ReaderAt, off, limit int64) (f frame, err error) {
	s, err := readStored(r, off, limit)
	if err != nil {
		return f, err
	}
	f.size, f.codec = frameHeader+int64(len(s.bytes)), s.codec
	f.body, err = decompress(s.codec, s.bytes, s.raw)
	return f, err
}

func readStored(r io.ReaderAt, off, limit int64) (s storedFrame, err error) {
	if limit < frameHeader {
		return s, errTorn
	}
	var h [frameHeader]byte
	if _, err := r.ReadAt(h[:], off); err != nil {
		return s, readError(err)
	}
	size, raw := binary.LittleEndian.Uint32(h[12:]), binary.LittleEndian.Uint32(h[16:])
	switch {
	case binary.LittleEndian.Uint32(h[0:]) != frameMagic:
		return s, errNoFrame
	case raw > maxFrameBytes || size > maxFrameBytes*2:
		return s, errNoFrame
	case int64(size) > limit-frameHeader:
		return s, errTorn
	}
	buf := make([]byte, size)
	if _, err := r.ReadAt(buf, off+frameHeader); err != nil {
		return s, readError(err)
	}
	sum := crc32.Update(crc32.Checksum(h[8:], castagnoli), castagnoli, buf)
	if sum != binary.LittleEndian.Uint32(h[4:]) {
		return s, errSum
	}
	return storedFrame{buf, int(raw), binary.LittleEndian.Uint32(h[8:])}, nil
}

func readError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errTorn
	}
	return fmt.Errorf("read segment: %w", err)
}

func decompress(codec uint32, stored []byte, raw int) ([]byte, error) {
	var body []byte
	var err error
	switch codec {
	case codecS2:
		n, lenErr := s2.DecodedLen(stored)
		if lenErr != nil || n != raw {
			return nil, errBody
		}
		body, err = s2.Decode(make([]byte, 0, raw), stored)
	case codecZstd:
		body, err = zstdDecoder.DecodeAll(stored, make([]byte, 0, raw))
	case codecColumns:
		body, err = columnsBody(stored, raw)
	default:
		return nil, errBody
	}
	if err != nil || len(body) != raw {
		return nil, errBody
	}
	return body, nil
}

// isDamage reports whether err says that the bytes are wrong, as opposed to
// that they could not be read.
func isDamage(err error) bool {
	return errors.Is(err, errNoFrame) || errors.Is(err, errTorn) || errors.Is(err, errSum) || errors.Is(err, errBody)
}

// eachEntry visits the entries of a decompressed body.
func eachEntry(body []byte, visit func(arrival int64, request []byte) error) error {
	for len(body) > 0 {
		if len(body) < entryHeader {
			return errBody
		}
		arrival := int64(binary.LittleEndian.Uint64(body))
		n := binary.LittleEndian.Uint32(body[8:])
		body = body[entryHeader:]
		if uint64(n) > uint64(len(body)) {
			return errBody
		}
		if err := visit(arrival, body[:n:n]); err != nil {
			return err
		}
		body = body[n:]
	}
	return nil
}
