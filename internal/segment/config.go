package segment

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/tidegate-io/tidegate/fault"
)

// Schema is what a store knows about the content of requests. S summarises a
// frame (or a whole segment). Implementations are safe for concurrent use and
// never change a summary after returning it.
type Schema[S any] interface {
	// Summarise reads one request and returns its summary and its keys, in
	// any order, duplicates allowed. A malformed request is a fault.Invalid;
	// one that holds nothing to store is ErrEmpty.
	Summarise(request []byte) (S, []uint32, error)
	// Merge returns one summary of all.
	Merge(summaries []S) S
	// Encode and Decode write and read the summaries of one segment.
	Encode(summaries []S) []byte
	Decode(data []byte) ([]S, error)
}

// ErrEmpty is what Summarise answers to a request with nothing in it: it is
// accepted and not stored.
var ErrEmpty = errors.New("nothing to store")

// File is what a Log needs of a file; *os.File provides it.
type File interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
	Truncate(size int64) error
	Close() error
}

// Config configures a [Log].
type Config struct {
	Dir  string // made if missing; locked while the log is open
	Kind string // at most 8 bytes; a directory of another kind is refused

	MaxAge   time.Duration // segments whose newest entry is older are deleted; 0 means never
	MaxBytes int64         // the oldest segments beyond it are deleted; 0 means no limit

	SegmentBytes int64         // size at which a segment is sealed; default 64 MiB, at most MaxBytes/8
	SegmentAge   time.Duration // age at which a segment is sealed; default 1 h, at most MaxAge/8
	FrameBytes   int           // entries are grouped up to this size before compression; default 256 KiB
	MaxPending   int           // bytes of requests that may wait to be written; default 32 MiB
	CacheBytes   int           // decompressed frames kept for reading; default 32 MiB

	SyncEvery      time.Duration // how often written data is synced; default 1 s
	SyncEachCommit bool          // sync before Append returns: survives power cuts, costs latency

	// ReencodeAfter is the age at which sealed segments are compressed harder;
	// segments of many tiny frames are regrouped at once. Default 1 h.
	ReencodeAfter time.Duration
	// ReencodeShare is how much of one core re-encoding may take, up to 1;
	// default 0.25. Ingest comes first: what it cannot keep up with stays as it is.
	ReencodeShare float64
	// Layout of the requests, where they are protobuf: data that stays is
	// written by columns then.
	Layout Layout

	Clock    func() time.Time // default time.Now
	Logger   *slog.Logger     // default discards
	OpenFile func(name string, flag int, perm os.FileMode) (File, error)
}

const (
	maxFrames     = 16 << 10 // per segment
	maxFrameBytes = 64 << 20 // before compression; anything larger is damage
)

func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Dir == "":
		return c, fault.InvalidField("dir", "a directory is required")
	case c.Kind == "" || len(c.Kind) > 8:
		return c, fault.InvalidField("kind", "1 to 8 bytes are required, got %q", c.Kind)
	case c.MaxAge < 0 || c.MaxBytes < 0 || c.SegmentBytes < 0 || c.FrameBytes < 0 || c.MaxPending < 0 || c.CacheBytes < 0 || c.ReencodeShare < 0:
		return c, fault.Invalid("segment: negative limits make no sense")
	}
	setDefault(&c.SegmentBytes, 64<<20)
	if c.MaxBytes > 0 {
		c.SegmentBytes = min(c.SegmentBytes, max(c.MaxBytes/8, 64<<10))
	}
	setDefault(&c.SegmentAge, time.Hour)
	if c.MaxAge > 0 {
		c.SegmentAge = min(c.SegmentAge, max(c.MaxAge/8, time.Second))
	}
	setDefault(&c.FrameBytes, 256<<10)
	setDefault(&c.MaxPending, 32<<20)
	setDefault(&c.CacheBytes, 32<<20)
	setDefault(&c.SyncEvery, time.Second)
	setDefault(&c.ReencodeAfter, time.Hour)
	setDefault(&c.ReencodeShare, 0.25)
	if c.MaxPending > maxFrameBytes/2 {
		c.MaxPending = maxFrameBytes / 2
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.OpenFile == nil {
		c.OpenFile = func(name string, flag int, perm os.FileMode) (File, error) { return os.OpenFile(name, flag, perm) }
	}
	return c, nil
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
