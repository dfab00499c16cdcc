package segment

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
	"sort"
)

// Key hashes an id to the 32 bits under which its frames are looked up. Two
// ids may share a key: a lookup yields candidates.
func Key(id [16]byte) uint32 {
	a, b := binary.LittleEndian.Uint64(id[:8]), binary.LittleEndian.Uint64(id[8:])
	h := (a ^ b*0x9E3779B97F4A7C15) * 0xFF51AFD7ED558CCD
	h ^= h >> 32
	h *= 0xC4CEB9FE1A85EC53
	return uint32(h >> 32)
}

// sortKeys sorts and removes duplicates, in place.
func sortKeys(keys []uint32) []uint32 {
	slices.Sort(keys)
	return slices.Clip(slices.Compact(keys))
}

// keyTable finds the frames of a key in a sealed segment. The pairs (key,
// frame), sorted, are stored in blocks of varints with a checksum each; only
// the first key and the place of every block are in memory.
type keyTable struct {
	first []uint32 // first key of each block
	at    []uint32 // offset of each block, and the end of the last
}

const keysPerBlock = 256

// encodeKeys writes the blocks for the frames' sorted keys.
func encodeKeys(frames [][]uint32) (keyTable, []byte) {
	var n int
	for _, keys := range frames {
		n += len(keys)
	}
	pairs := make([]uint64, 0, n)
	for f, keys := range frames {
		for _, k := range keys {
			pairs = append(pairs, uint64(k)<<32|uint64(f))
		}
	}
	slices.Sort(pairs)
	var (
		t   keyTable
		out []byte
	)
	for block := range slices.Chunk(pairs, keysPerBlock) {
		start := len(out)
		t.first = append(t.first, uint32(block[0]>>32))
		t.at = append(t.at, uint32(start))
		prev := uint32(block[0] >> 32)
		for _, p := range block {
			key := uint32(p >> 32)
			out = binary.AppendUvarint(out, uint64(key-prev))
			out = binary.AppendUvarint(out, uint64(uint32(p)))
			prev = key
		}
		out = binary.LittleEndian.AppendUint32(out, crc32.Checksum(out[start:], castagnoli))
	}
	t.at = append(t.at, uint32(len(out)))
	return t, out
}

// blocks returns the range [lo, hi) of offsets of the blocks that can hold key.
func (t *keyTable) blocks(key uint32) (from, to int) {
	from = sort.Search(len(t.first), func(i int) bool { return t.first[i] >= key })
	if from > 0 {
		from-- // the key may begin inside the block before
	}
	to = sort.Search(len(t.first), func(i int) bool { return t.first[i] > key })
	return from, max(to, from)
}

// find appends to out the frames that block i, given as data, lists for key;
// false if the block is damaged.
func (t *keyTable) find(i int, data []byte, key uint32, out []int) ([]int, bool) {
	if len(data) < 4 {
		return out, false
	}
	body := data[:len(data)-4]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(data[len(body):]) {
		return out, false
	}
	at := uint64(t.first[i])
	for len(body) > 0 {
		d, n := binary.Uvarint(body)
		if n <= 0 {
			return out, false
		}
		f, m := binary.Uvarint(body[n:])
		if m <= 0 {
			return out, false
		}
		body = body[n+m:]
		if at += d; at == uint64(key) {
			out = append(out, int(f))
		} else if at > uint64(key) {
			break
		}
	}
	return out, true
}
