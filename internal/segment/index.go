package segment

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
)

// An index file, integers little-endian:
//
//	magic [8] | checksum of head u32 | length of head u32 | head | summaries | checksum u32 | key blocks
//
// The head is JSON-free but for damage, which is rare and read by people:
//
//	segment size, codec, frames {offset, first, last, raw}…, damage, digest,
//	key blocks {first, at}…, length of the summaries        all uvarint or length-prefixed
const (
	indexMagic      = "TGIDX003" // the number changes with what summaries hold
	indexHeaderSize = 16
)

var errIndex = errors.New("index does not fit its segment")

// diskIndex is the index of a sealed segment: the head in memory, summaries
// and keys on file.
type diskIndex[S any] struct {
	file       File
	digest     S
	table      keyTable
	summaryAt  int64
	summaryLen int64
	keysAt     int64
}

// writeIndex writes the index file of a sealed segment from its in-memory
// index, atomically, and syncs it.
func (l *Log[S]) writeIndex(p *part[S]) error {
	p.mu.RLock()
	frames, summaries, keys, size, codec, damage := p.frames, p.summaries, p.keys, p.size, p.codec, p.damage
	p.mu.RUnlock()

	damageJSON, err := json.Marshal(damage)
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	table, blocks := encodeKeys(keys)
	encoded := l.schema.Encode(summaries)
	head := encodeHead(size, codec, frames, damageJSON, l.schema.Encode([]S{l.schema.Merge(summaries)}), table, len(encoded))

	out := make([]byte, 0, indexHeaderSize+len(head)+len(encoded)+4+len(blocks))
	out = append(out, indexMagic...)
	out = binary.LittleEndian.AppendUint32(out, crc32.Checksum(head, castagnoli))
	out = binary.LittleEndian.AppendUint32(out, uint32(len(head)))
	out = append(out, head...)
	out = append(out, encoded...)
	out = binary.LittleEndian.AppendUint32(out, crc32.Checksum(encoded, castagnoli))
	out = append(out, blocks...)
	return l.writeFile(p.indexName(), out)
}

func encodeHead(size int64, codec uint32, frames []frameInfo, damage, digest []byte, table keyTable, summaryLen int) []byte {
	head := binary.AppendUvarint(nil, uint64(size))
	head = binary.AppendUvarint(head, uint64(codec))
	head = binary.AppendUvarint(head, uint64(len(frames)))
	var prev frameInfo
	for _, f := range frames {
		head = binary.AppendUvarint(head, uint64(f.off-prev.off))
		head = binary.AppendVarint(head, f.first-prev.first)
		head = binary.AppendVarint(head, f.last-f.first)
		head = binary.AppendUvarint(head, uint64(f.raw))
		prev = f
	}
	for _, section := range [][]byte{damage, digest} {
		head = binary.AppendUvarint(head, uint64(len(section)))
		head = append(head, section...)
	}
	head = binary.AppendUvarint(head, uint64(len(table.first)))
	for i := range table.first {
		head = binary.LittleEndian.AppendUint32(head, table.first[i])
		head = binary.LittleEndian.AppendUint32(head, table.at[i])
	}
	head = binary.LittleEndian.AppendUint32(head, table.at[len(table.first)])
	return binary.AppendUvarint(head, uint64(summaryLen))
}

// loadIndex reads the index of p, whose file has fileSize bytes. Any error
// means that the segment must be scanned instead.
func (l *Log[S]) loadIndex(p *part[S], fileSize int64) (err error) {
	f, err := l.cfg.OpenFile(p.indexName(), os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	var h [indexHeaderSize]byte
	if _, err := f.ReadAt(h[:], 0); err != nil {
		return readError(err)
	}
	n := binary.LittleEndian.Uint32(h[12:])
	if string(h[:8]) != indexMagic || n > maxFrameBytes {
		return errIndex
	}
	head := make([]byte, n)
	if _, err := f.ReadAt(head, indexHeaderSize); err != nil {
		return readError(err)
	}
	if crc32.Checksum(head, castagnoli) != binary.LittleEndian.Uint32(h[8:]) {
		return errIndex
	}
	d := &diskIndex[S]{file: f, summaryAt: indexHeaderSize + int64(n)}
	if err := l.decodeHead(head, p, d); err != nil {
		return err
	}
	if p.size != fileSize {
		return errIndex
	}
	d.keysAt = d.summaryAt + d.summaryLen + 4
	p.summaries, p.keys, p.disk = nil, nil, d
	return nil
}

func (l *Log[S]) decodeHead(head []byte, p *part[S], d *diskIndex[S]) error {
	r := headReader{b: head}
	p.size, p.codec = int64(r.uvarint()), uint32(r.uvarint())
	n := r.uvarint()
	if n > maxFrames*2 {
		return errIndex
	}
	p.frames = make([]frameInfo, 0, n)
	var prev frameInfo
	for range n {
		f := frameInfo{off: prev.off + int64(r.uvarint()), first: prev.first + r.varint()}
		f.last, f.raw = f.first+r.varint(), int64(r.uvarint())
		p.frames = append(p.frames, f)
		prev = f
	}
	damage, digest := r.section(), r.section()
	n = r.uvarint()
	if n > uint64(len(r.b))/8 {
		return errIndex
	}
	for range n {
		d.table.first = append(d.table.first, r.u32())
		d.table.at = append(d.table.at, r.u32())
	}
	d.table.at = append(d.table.at, r.u32())
	d.summaryLen = int64(r.uvarint())
	if r.bad {
		return errIndex
	}
	if err := json.Unmarshal(damage, &p.damage); err != nil {
		return errIndex
	}
	sums, err := l.schema.Decode(digest)
	if err != nil || len(sums) != 1 {
		return errIndex
	}
	d.digest = sums[0]
	return nil
}

// readSummaries reads and decodes the summaries of all frames.
func (l *Log[S]) readSummaries(d *diskIndex[S]) ([]S, error) {
	buf := make([]byte, d.summaryLen+4)
	if _, err := d.file.ReadAt(buf, d.summaryAt); err != nil {
		return nil, readError(err)
	}
	body := buf[:d.summaryLen]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(buf[d.summaryLen:]) {
		return nil, errIndex
	}
	return l.schema.Decode(body)
}

// lookup appends the frames of key to out; false if the keys are damaged.
func (d *diskIndex[S]) lookup(key uint32, out []int) ([]int, bool) {
	from, to := d.table.blocks(key)
	for i := from; i < to; i++ {
		data := make([]byte, d.table.at[i+1]-d.table.at[i])
		if _, err := d.file.ReadAt(data, d.keysAt+int64(d.table.at[i])); err != nil {
			return out, false
		}
		var ok bool
		if out, ok = d.table.find(i, data, key, out); !ok {
			return out, false
		}
	}
	return out, true
}

// writeFile writes a file whole: to a temporary name, synced, then renamed.
func (l *Log[S]) writeFile(name string, data []byte) error {
	tmp := name + ".tmp"
	f, err := l.cfg.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", name, err), os.Remove(tmp))
	}
	return os.Rename(tmp, name)
}

// headReader reads the head of an index; after the first mistake it reads zeros.
type headReader struct {
	b   []byte
	bad bool
}

func (r *headReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *headReader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *headReader) u32() uint32 {
	if len(r.b) < 4 {
		r.b, r.bad = nil, true
		return 0
	}
	v := binary.LittleEndian.Uint32(r.b)
	r.b = r.b[4:]
	return v
}

func (r *headReader) section() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return nil
	}
	s := r.b[:n]
	r.b = r.b[n:]
	return s
}
