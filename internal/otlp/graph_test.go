package otlp

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

func ends(n uint64) (client, server half) {
	var key callKey
	rnd := rand.New(rand.NewPCG(n, 1))
	binary.LittleEndian.PutUint64(key.trace[8:], rnd.Uint64())
	binary.LittleEndian.PutUint64(key.span[:], rnd.Uint64())
	return half{key: key}, half{key: key, server: true, ns: n}
}

// TestCallsMeet: as many calls as half the limit wait at once, and nearly all
// of them meet; those do not that wait for too long.
func TestCallsMeet(t *testing.T) {
	const limit = 10_000
	p := newPairing(limit, 100)
	p.at(1000)
	for n := range uint64(limit / 2) {
		client, _ := ends(n)
		for range 2 { // the second is a retry
			if _, ok := p.meet(&client); ok {
				t.Fatalf("call %d met itself", n)
			}
		}
	}
	p.at(1100)
	met := 0
	for n := range uint64(limit / 2) {
		client, server := ends(n)
		other, ok := p.meet(&server)
		if !ok {
			continue
		}
		met++
		if other.key != client.key || other.server {
			t.Fatalf("call %d met another", n)
		}
		if _, ok := p.meet(&server); ok {
			t.Fatalf("call %d met twice", n)
		}
	}
	if met < limit/2*995/1000 {
		t.Errorf("%d of %d calls met", met, limit/2)
	}
	client, server := ends(limit)
	p.meet(&client)
	p.at(1201)
	if _, ok := p.meet(&server); ok {
		t.Error("a call met that had waited for too long")
	}
}

// TestEndlessCallsTakeNoMemory: halves that never meet push out each other.
func TestEndlessCallsTakeNoMemory(t *testing.T) {
	p := newPairing(100, 1000)
	for n := range uint64(10_000) {
		client, _ := ends(n)
		p.meet(&client)
	}
	if places := len(p.buckets) * ways; places < 100 || places > 256 {
		t.Errorf("%d places for a limit of 100", places)
	}
	client, server := ends(20_000)
	p.meet(&client)
	if _, ok := p.meet(&server); !ok {
		t.Error("the newest call was not kept")
	}
}

func BenchmarkMeet(b *testing.B) {
	p := newPairing(100_000, 1_000_000)
	calls := make([][2]half, 1<<16)
	for i := range calls {
		calls[i][0], calls[i][1] = ends(uint64(i))
	}
	for i := 0; b.Loop(); i++ {
		p.meet(&calls[i%len(calls)][0])
		p.meet(&calls[(i+len(calls)-2000)%len(calls)][1])
	}
}
