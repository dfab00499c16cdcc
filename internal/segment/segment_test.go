package segment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/fault"
)

var epoch = time.Unix(1_800_000_000, 0).UTC()

// lines is a schema for tests: a request is text, its summary the number of
// bytes, its key the hash of its first sixteen bytes.
type lines struct{}

func keyOf(req []byte) uint32 {
	var id [16]byte
	copy(id[:], req)
	return Key(id)
}

func (lines) Summarise(req []byte) (int, []uint32, error) {
	switch {
	case len(req) == 0:
		return 0, nil, ErrEmpty
	case req[0] == '!':
		return 0, nil, fault.Invalid("malformed on purpose")
	}
	return len(req), []uint32{keyOf(req)}, nil
}

func (lines) Merge(sums []int) int {
	n := 0
	for _, s := range sums {
		n += s
	}
	return n
}

func (lines) Encode(sums []int) []byte {
	var w SummaryWriter
	w.Uint(uint64(len(sums)))
	for _, s := range sums {
		w.Uint(uint64(s))
	}
	return w.Bytes()
}

func (lines) Decode(b []byte) ([]int, error) {
	r := NewSummaryReader(b)
	var out []int
	for range r.Count() {
		out = append(out, int(r.Uint()))
	}
	return out, r.Err()
}

func config(dir string) Config { return Config{Dir: dir, Kind: "lines", SegmentBytes: 8 << 10} }

func mustOpen(t testing.TB, cfg Config) *Log[int] {
	t.Helper()
	l, err := Open(cfg, lines{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func appendAll(t testing.TB, l *Log[int], reqs ...string) {
	t.Helper()
	for i, r := range reqs {
		if err := l.Append(context.Background(), epoch.Add(time.Duration(i)*time.Second), []byte(r)); err != nil {
			t.Fatal(err)
		}
	}
}

// stored returns everything that can be read, in order.
func stored(t testing.TB, l *Log[int]) []string {
	t.Helper()
	var out []string
	err := l.Replay(context.Background(), time.Time{}, func(_ time.Time, req []byte) error {
		out = append(out, string(req))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// request i has some content that compresses badly.
func request(i int) string {
	x := uint64(i)*0x9E3779B97F4A7C15 + 1
	var b strings.Builder
	fmt.Fprintf(&b, "request %08d ", i)
	for range 20 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		fmt.Fprintf(&b, "%016x", x)
	}
	return b.String()
}

func requests(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = request(i)
	}
	return out
}

func expect(t testing.TB, l *Log[int], want []string) {
	t.Helper()
	if got := stored(t, l); !slices.Equal(got, want) {
		t.Fatalf("%d requests are stored, want %d", len(got), len(want))
	}
	v := l.View()
	defer v.Close()
	for _, r := range want {
		found := false
		for _, f := range v.Lookup(keyOf([]byte(r))) {
			err := f.Entries(func(e Entry) error { found = found || string(e.Request) == r; return nil })
			if err != nil {
				t.Fatal(err)
			}
		}
		if !found {
			t.Fatalf("%.16s is not found by key", r)
		}
	}
}

func segments(t testing.TB, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestReopenInEveryState(t *testing.T) {
	now := epoch
	cfg := config(t.TempDir())
	cfg.Clock = func() time.Time { return now }
	l := mustOpen(t, cfg)
	all := requests(200)
	appendAll(t, l, all...)
	expect(t, l, all)
	if l.Stats().Segments < 3 {
		t.Fatalf("%+v", l.Stats())
	}
	reopen := func() {
		t.Helper()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = mustOpen(t, cfg)
		expect(t, l, all)
	}
	reopen()
	// Frames of one short request each are regrouped as soon as possible.
	for range l.Stats().Segments {
		l.maintain(context.Background())
	}
	expect(t, l, all)
	if st := l.Stats(); st.Frames > 100 {
		t.Errorf("not regrouped: %+v", st)
	}
	reopen()
	appendAll(t, l, "one more")
	all = append(all, "one more")
	reopen()
}

func TestTornTailIsCut(t *testing.T) {
	whole := config(t.TempDir())
	l := mustOpen(t, whole)
	all := requests(5)
	appendAll(t, l, all...)
	name := segments(t, whole.Dir)[0]
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	last, _ := l.parts[0].info(4)
	for cut := last.off; cut < int64(len(data)); cut += 7 {
		cfg := config(t.TempDir())
		torn := filepath.Join(cfg.Dir, filepath.Base(name))
		if err := os.WriteFile(torn, data[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		l := mustOpen(t, cfg)
		expect(t, l, all[:4])
		if st, err := os.Stat(torn); err != nil || st.Size() != last.off {
			t.Fatalf("the file has %d bytes, want %d (%v)", st.Size(), last.off, err)
		}
		if d := l.Stats().Damaged; len(d) > 0 {
			t.Fatalf("a torn tail is not damage: %+v", d)
		}
		appendAll(t, l, "after the crash")
		expect(t, l, append(slices.Clone(all[:4]), "after the crash"))
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDamageCostsOnlyItsFrames flips one byte in every part of a frame, in
// the active segment and in sealed ones with and without index.
func TestDamageCostsOnlyItsFrames(t *testing.T) {
	for _, state := range []string{"active", "sealed", "indexed"} {
		for _, at := range []int64{0, 4, 8, 12, 16, frameHeader, frameHeader + 50} {
			t.Run(fmt.Sprintf("%s+%d", state, at), func(t *testing.T) {
				cfg := config(t.TempDir())
				cfg.FrameBytes = 1 // one request per frame, also when regrouped
				if state == "active" {
					cfg.SegmentBytes = 1 << 20
				}
				l := mustOpen(t, cfg)
				all := requests(60)
				appendAll(t, l, all...)
				if state == "indexed" {
					for range l.Stats().Segments + 1 {
						l.maintain(context.Background())
					}
				}
				first := l.parts[0]
				victim, _ := first.info(3)
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				flip(t, first.name, victim.off+at)

				l = mustOpen(t, cfg)
				want := slices.Delete(slices.Clone(all), 3, 4)
				expect(t, l, want)
				d := l.Stats().Damaged
				if len(d) != 1 || d[0].File != filepath.Base(first.name) || d[0].Offset != victim.off {
					t.Fatalf("%+v, want offset %d", d, victim.off)
				}
				appendAll(t, l, "goes on")
				expect(t, l, append(want, "goes on"))
				for range 3 { // damage survives the background work and a restart
					l.maintain(context.Background())
				}
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				l = mustOpen(t, cfg)
				expect(t, l, append(want, "goes on"))
				if d := l.Stats().Damaged; len(d) != 1 {
					t.Fatalf("after a restart: %+v", d)
				}
			})
		}
	}
}

func flip(t testing.TB, name string, at int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x40
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

func TestUnreadableFileIsSetAside(t *testing.T) {
	cfg := config(t.TempDir())
	l := mustOpen(t, cfg)
	all := requests(60)
	appendAll(t, l, all...)
	first := l.parts[0]
	n := len(first.frames)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	flip(t, first.name, 2) // in the header of the file
	l = mustOpen(t, cfg)
	expect(t, l, all[n:])
	d := l.Stats().Damaged
	if len(d) != 1 || d[0].File != filepath.Base(first.name)+".damaged" {
		t.Fatalf("%+v", d)
	}
	if _, err := os.Stat(first.name + ".damaged"); err != nil {
		t.Error(err)
	}
}

// TestDamagedIndexIsBuiltAgain flips bytes all over an index file.
func TestDamagedIndexIsBuiltAgain(t *testing.T) {
	cfg := config(t.TempDir())
	l := mustOpen(t, cfg)
	all := requests(100)
	appendAll(t, l, all...)
	for range l.Stats().Segments + 1 {
		l.maintain(context.Background())
	}
	name := l.parts[0].indexName()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for at := int64(0); at < int64(len(good)); at += 5 {
		flip(t, name, at)
		l := mustOpen(t, cfg)
		expect(t, l, all)
		v := l.View()
		total := 0
		for _, seg := range v.Segments() {
			sums, err := seg.Summaries()
			if err != nil {
				t.Fatal(err)
			}
			total += lines{}.Merge(sums)
		}
		v.Close()
		if want := len(strings.Join(all, "")); total != want {
			t.Fatalf("byte %d: summaries say %d bytes, want %d", at, total, want)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// disk is a file system with limited room.
type disk struct{ free atomic.Int64 }

type limitedFile struct {
	File
	disk *disk
}

func (d *disk) open(name string, flag int, perm os.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return limitedFile{f, d}, nil
}

// WriteAt writes what fits, as a real disk does.
func (f limitedFile) WriteAt(b []byte, at int64) (int, error) {
	room := f.disk.free.Add(-int64(len(b)))
	if room >= 0 {
		return f.File.WriteAt(b, at)
	}
	f.disk.free.Add(int64(len(b)))
	fits := max(0, int64(len(b))+room)
	n, err := f.File.WriteAt(b[:fits], at)
	return n, errors.Join(err, syscall.ENOSPC)
}

func TestFullDiskRefusesAndRecovers(t *testing.T) {
	var d disk
	d.free.Store(20 << 10)
	cfg := config(t.TempDir())
	cfg.OpenFile = d.open
	l := mustOpen(t, cfg)
	var acked []string
	refused := 0
	for i := range 200 {
		if refused == 20 {
			d.free.Store(1 << 20) // somebody made room
		}
		r := request(i)
		err := l.Append(context.Background(), epoch, []byte(r))
		switch {
		case err == nil:
			acked = append(acked, r)
		case fault.Is(err, fault.KindUnavailable) && errors.Is(err, syscall.ENOSPC):
			refused++
		default:
			t.Fatal(err)
		}
		if i%20 == 0 {
			l.maintain(context.Background())
			expect(t, l, acked)
		}
	}
	if refused != 20 || len(acked) != 180 {
		t.Fatalf("%d refused, %d acknowledged", refused, len(acked))
	}
	if st := l.Stats(); st.Refused != 20 || st.Pending != 0 {
		t.Errorf("%+v", st)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	expect(t, mustOpen(t, cfg), acked)
}

func TestRefusals(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.MaxPending = 1000
	l := mustOpen(t, cfg)
	ctx := context.Background()
	if err := l.Append(ctx, epoch, []byte("!")); !fault.Is(err, fault.KindInvalid) {
		t.Error(err)
	}
	if err := l.Append(ctx, epoch, make([]byte, 1001)); !fault.Is(err, fault.KindInvalid) {
		t.Error(err)
	}
	// While a commit hangs, requests queue up to the bound and no further.
	l.writing.Lock()
	acks := make(chan error, 1)
	go func() { acks <- l.Append(ctx, epoch, bytes.Repeat([]byte("x"), 900)) }()
	for l.Stats().Pending == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := l.Append(ctx, epoch, bytes.Repeat([]byte("y"), 900)); !fault.Is(err, fault.KindUnavailable) {
		t.Error(err)
	}
	l.writing.Unlock()
	if err := <-acks; err != nil {
		t.Error(err)
	}
	if _, err := Open(cfg, lines{}); !fault.Is(err, fault.KindConflict) {
		t.Errorf("opened twice: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(ctx, epoch, []byte("late")); !fault.Is(err, fault.KindUnavailable) {
		t.Error(err)
	}
	cfg.Kind = "others"
	if _, err := Open(cfg, lines{}); !fault.Is(err, fault.KindConflict) {
		t.Errorf("opened as another kind: %v", err)
	}
}

func TestRetentionByAge(t *testing.T) {
	now := epoch
	cfg := config(t.TempDir())
	cfg.MaxAge = time.Hour
	cfg.Clock = func() time.Time { return now }
	l := mustOpen(t, cfg)
	for i := range 20 {
		if err := l.Append(context.Background(), now, []byte(request(i))); err != nil {
			t.Fatal(err)
		}
		now = now.Add(10 * time.Minute)
		l.maintain(context.Background())
	}
	v := l.View() // a reader keeps what it has, whatever is deleted
	defer v.Close()
	got := stored(t, l)
	// What is younger than MaxAge is there; what is older than MaxAge plus the
	// age at which segments are sealed is not.
	if len(got) < 6 || len(got) > 8 || got[len(got)-1] != request(19) {
		t.Fatalf("%d requests are left", len(got))
	}
	now = now.Add(24 * time.Hour)
	l.maintain(context.Background())
	if got := stored(t, l); len(got) != 0 {
		t.Fatalf("%d requests are left after a day", len(got))
	}
	n := 0
	for _, seg := range v.Segments() {
		for i := range seg.Len() {
			if err := seg.Frame(i).Entries(func(Entry) error { n++; return nil }); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n < 6 {
		t.Errorf("the open view reads %d", n)
	}
}

// TestGroupCommit: requests that wait for the disk together are written
// together.
func TestGroupCommit(t *testing.T) {
	l := mustOpen(t, config(t.TempDir()))
	l.writing.Lock()
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if err := l.Append(context.Background(), epoch, []byte(request(i))); err != nil {
				t.Error(err)
			}
		})
	}
	for l.Stats().Pending < 50*len(request(0)) {
		time.Sleep(time.Millisecond)
	}
	l.writing.Unlock()
	wg.Wait()
	if st := l.Stats(); st.Frames != 1 {
		t.Errorf("%d frames", st.Frames)
	}
	got, want := stored(t, l), requests(50)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%d stored", len(got))
	}
}

// TestInterruptedReencoding leaves the files of every moment of a rewrite.
func TestInterruptedReencoding(t *testing.T) {
	cfg := config(t.TempDir())
	l := mustOpen(t, cfg)
	all := requests(100)
	appendAll(t, l, all...)
	name := l.parts[0].name
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name+".tmp", []byte("half a segment"), 0o600); err != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, cfg)
	expect(t, l, all)
	if _, err := os.Stat(name + ".tmp"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
	p := l.parts[0]
	if err := l.index(p); err != nil { // the index of the old form …
		t.Fatal(err)
	}
	old, err := os.ReadFile(p.indexName())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.reencode(context.Background(), p); err != nil {
		t.Fatal(err)
	}
	expect(t, l, all)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.indexName(), old, 0o600); err != nil { // … beside the new form
		t.Fatal(err)
	}
	expect(t, mustOpen(t, cfg), all)
}

// FuzzFrame: no bytes make the reader panic or allocate without bound, and
// what was written is read.
func FuzzFrame(f *testing.F) {
	body := appendEntry(nil, 1, []byte("request"))
	f.Add(appendFrame(nil, body, codecS2))
	f.Add(appendFrame(nil, body, codecZstd))
	f.Add([]byte("TGF1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		fr, err := readFrame(bytes.NewReader(data), 0, int64(len(data)))
		if err == nil {
			_ = eachEntry(fr.body, func(int64, []byte) error { return nil })
		} else if !isDamage(err) {
			t.Fatal(err)
		}
		for _, codec := range []uint32{codecS2, codecZstd} {
			body := appendEntry(nil, 42, data)
			fr, err := readFrame(bytes.NewReader(appendFrame(nil, body, codec)), 0, 1<<30)
			if err != nil || !bytes.Equal(fr.body, body) {
				t.Fatal(err)
			}
		}
	})
}

// FuzzKeys: every key that went into the table is found in its frames.
func FuzzKeys(f *testing.F) {
	f.Add([]byte("abcdabcdefgh"), uint8(2))
	f.Fuzz(func(t *testing.T, data []byte, perFrame uint8) {
		var frames [][]uint32
		for chunk := range slices.Chunk(data, 4*(int(perFrame)+1)) {
			var keys []uint32
			for k := range slices.Chunk(chunk, 4) {
				var id [16]byte
				copy(id[:], k[:1]) // few different keys
				keys = append(keys, Key(id))
			}
			frames = append(frames, sortKeys(keys))
		}
		table, blocks := encodeKeys(frames)
		for n, keys := range frames {
			for _, k := range keys {
				var found []int
				from, to := table.blocks(k)
				for i := from; i < to; i++ {
					var ok bool
					if found, ok = table.find(i, blocks[table.at[i]:table.at[i+1]], k, found); !ok {
						t.Fatal("damaged")
					}
				}
				if !slices.Contains(found, n) {
					t.Fatalf("key %x of frame %d: %v", k, n, found)
				}
			}
		}
	})
}
