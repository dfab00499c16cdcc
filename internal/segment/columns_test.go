package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// testLayout is that of a message with a time (1), an id (2), a parent (3),
// and attributes (4) of a key (1) and a value (2).
var testLayout = Layout{
	1: {Kind: Time}, 2: {Kind: ID}, 3: {Kind: ID},
	4: {Kind: Into, Name: 1, Layout: Layout{1: {Kind: Name}, 2: {Kind: Into}}},
}

func attributeField(key, value string) []byte {
	v := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), value)
	kv := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), key)
	kv = protowire.AppendBytes(protowire.AppendTag(kv, 2, protowire.BytesType), v)
	return protowire.AppendBytes(protowire.AppendTag(nil, 4, protowire.BytesType), kv)
}

func testID(i int) []byte {
	return binary.LittleEndian.AppendUint64(nil, uint64(i+1)*0x9E3779B97F4A7C15)
}

func testMessage(i int) []byte {
	m := protowire.AppendFixed64(protowire.AppendTag(nil, 1, protowire.Fixed64Type), uint64(1e18+i*1000))
	m = protowire.AppendBytes(protowire.AppendTag(m, 2, protowire.BytesType), testID(i))
	m = protowire.AppendBytes(protowire.AppendTag(m, 3, protowire.BytesType), testID(i/2))
	m = append(m, attributeField("route", "/api/v1/checkout")...)
	m = append(m, attributeField("user", fmt.Sprint(i*7919%1000))...)
	m = protowire.AppendVarint(protowire.AppendTag(m, 9, protowire.VarintType), uint64(i))
	m = protowire.AppendFixed32(protowire.AppendTag(m, 10, protowire.Fixed32Type), uint32(i))
	return protowire.AppendString(protowire.AppendTag(m, 200, protowire.BytesType), "unknown")
}

func testBody(n int) (body []byte) {
	for i := range n {
		body = appendEntry(body, int64(1e18+i), testMessage(i))
	}
	return body
}

// TestColumnsAreSmaller: a frame by columns is read back to the byte, and is
// much smaller than one compressed as it came.
func TestColumnsAreSmaller(t *testing.T) {
	body := testBody(2000)
	frame := appendStaying(nil, body, testLayout)
	f, err := readFrame(bytes.NewReader(frame), 0, int64(len(frame)))
	if err != nil || f.codec != codecColumns || !bytes.Equal(f.body, body) {
		t.Fatalf("codec %d, %d bytes of %d: %v", f.codec, len(f.body), len(body), err)
	}
	plain := appendFrame(nil, body, codecZstd)
	if len(frame)*10 > len(plain)*9 {
		t.Errorf("%d bytes by columns, %d as they came", len(frame), len(plain))
	}
}

// TestColumnsAreLookedThrough: texts are found in columns wherever they stand,
// and missing ones are known to be missing.
func TestColumnsAreLookedThrough(t *testing.T) {
	body := testBody(500)
	stored, err := appendColumns(nil, body, testLayout)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"route": true, "/api/v1/check": true, "unknown": true, string(testID(77)): true,
		"rout3": false, "/api/v2": false, string(testID(1_000_000)): false,
	} {
		if got := columnsContain(stored, len(body), [][]byte{[]byte("user"), []byte(text)}); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
	if !columnsContain(stored[:len(stored)/2], len(body), [][]byte{[]byte("x")}) {
		t.Error("damage was taken for an answer")
	}
}

// TestWhatIsNoColumnStaysAsItIs: bodies that could not be restored to the byte
// are not written by columns.
func TestWhatIsNoColumnStaysAsItIs(t *testing.T) {
	twoNames := protowire.AppendBytes(protowire.AppendTag(nil, 4, protowire.BytesType),
		append(protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "a"), protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "b")...))
	var manyKeys []byte
	for i := range maxColumns + 1 {
		manyKeys = append(manyKeys, attributeField(fmt.Sprint(i), "")...)
	}
	for name, request := range map[string][]byte{
		"text":             []byte("no protobuf"),
		"overlong varint":  {9 << 3, 0x80, 0x00},
		"overlong tag":     {9<<3 | 0x80, 0x00, 1},
		"overlong length":  {5<<3 | 2, 0x81, 0x00, 'x'},
		"group":            {9<<3 | 3, 9<<3 | 4},
		"truncated":        {1<<3 | 1, 0, 0},
		"two names":        twoNames,
		"very many names":  manyKeys,
		"field number 0":   {0, 1},
		"name of 300 byte": attributeField(string(make([]byte, 300)), "x"),
	} {
		body := appendEntry(testBody(400), 1, request)
		if _, err := shred(body, testLayout); !errors.Is(err, errNotColumns) {
			t.Errorf("%s: %v", name, err)
		}
		frame := appendStaying(nil, body, testLayout)
		f, err := readFrame(bytes.NewReader(frame), 0, int64(len(frame)))
		if err != nil || f.codec != codecZstd || !bytes.Equal(f.body, body) {
			t.Errorf("%s: codec %d, %v", name, f.codec, err)
		}
	}
}

// FuzzShred: whatever can be written by columns is restored to the byte.
func FuzzShred(f *testing.F) {
	f.Add(testMessage(1), testMessage(2))
	f.Add([]byte{}, attributeField("k", ""))
	f.Add([]byte{1<<3 | 1, 1, 2, 3, 4, 5, 6, 7, 8}, []byte{2<<3 | 2, 0})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		body := appendEntry(appendEntry(appendEntry(nil, 5, a), 3, b), -1, a)
		if _, err := shred(body, testLayout); err != nil {
			return
		}
		stored, err := appendColumns(nil, body, testLayout)
		if err != nil {
			t.Fatalf("%v: what shred accepts must be restored", err)
		}
		if back, err := columnsBody(stored, len(body)); err != nil || !bytes.Equal(back, body) {
			t.Fatalf("%v\n%x\n%x", err, body, back)
		}
	})
}

// FuzzColumnsBody: no bytes make the reader fall over, or take much memory.
func FuzzColumnsBody(f *testing.F) {
	body := testBody(20)
	stored, err := appendColumns(nil, body, testLayout)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(stored, len(body))
	f.Add([]byte{}, 0)
	f.Fuzz(func(t *testing.T, stored []byte, size int) {
		if size < 0 || size > 1<<20 {
			return
		}
		if out, err := columnsBody(stored, size); err == nil && len(out) != size {
			t.Errorf("%d bytes, want %d", len(out), size)
		}
	})
}

// FuzzStreams mutates what stands inside the compression, which FuzzColumnsBody
// hardly gets through.
func FuzzStreams(f *testing.F) {
	body := testBody(3)
	s, err := shred(body, testLayout)
	if err != nil {
		f.Fatal(err)
	}
	streams := s.streams()
	head := s.head(streams)
	f.Add(head, bytes.Join(streams, nil), len(body))
	f.Fuzz(func(t *testing.T, head, streams []byte, size int) {
		if size < 0 || size > 1<<16 {
			return
		}
		first := append(append(protowire.AppendVarint(nil, uint64(len(head))), head...), streams...)
		if out, err := columnsBody(appendBlob(nil, first), size); err == nil && len(out) != size {
			t.Errorf("%d bytes, want %d", len(out), size)
		}
	})
}

func BenchmarkColumns(b *testing.B) {
	body := testBody(1000)
	stored, err := appendColumns(nil, body, testLayout)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("write", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			if _, err := appendColumns(nil, body, testLayout); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			if _, err := columnsBody(stored, len(body)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
