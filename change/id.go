package change

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// NewID returns a fresh event ID, for callers that have to know it before they
// record the event: a UUID version 7 (RFC 9562, section 5.7), 48 bits of Unix
// milliseconds, then randomness. IDs of later events sort later.
func NewID(now time.Time) string {
	var u [16]byte
	if _, err := rand.Read(u[6:]); err != nil {
		panic(err) // crypto/rand never fails on supported systems
	}
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(now.UnixMilli()))
	copy(u[:6], ms[2:])
	return formatUUID(u, 7)
}

// DeriveID returns the event ID that belongs to a sender's own identification
// of an event, for example its CloudEvents source and id: a UUID version 8
// (RFC 9562, section 5.8) over the SHA-256 of the length-prefixed parts. Equal
// parts give equal IDs.
func DeriveID(parts ...string) string {
	h := sha256.New()
	var n [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return formatUUID([16]byte(h.Sum(nil)[:16]), 8)
}

func formatUUID(u [16]byte, version byte) string {
	u[6] = u[6]&0x0f | version<<4
	u[8] = u[8]&0x3f | 0x80
	text := hex.EncodeToString(u[:])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}
