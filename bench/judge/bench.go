package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// guardians a cell: enough in the full form to tell 1 % from 1.6 %.
const (
	fullGuardians  = 2000
	quickGuardians = 100
)

// bench collects the rows.
type bench struct {
	quick   bool
	seed    uint64
	only    string
	started time.Time
	out     io.Writer
	cells   uint64
	rows    []row
}

func (b *bench) guardians() int {
	if b.quick {
		return quickGuardians
	}
	return fullGuardians
}

// wants reports whether the scenario was asked for, and says that it begins.
func (b *bench) wants(scenario string) bool {
	if !strings.Contains(scenario, b.only) {
		return false
	}
	fmt.Fprintf(b.out, "%6.1fs %s\n", time.Since(b.started).Seconds(), scenario)
	return true
}

// simulate runs one cell: n guardians, each with its own generator, on all
// cores. one is called with the guardian's number.
func (b *bench) simulate(n int, one func(i int, rng *rand.Rand)) {
	b.cells++
	cell := b.cells
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				one(i, rand.New(rand.NewPCG(b.seed, cell<<32|uint64(i))))
			}
		})
	}
	wg.Wait()
}

// tally counts yes among n answers of guardians.
func (b *bench) tally(n int, one func(rng *rand.Rand) bool) (yes int) {
	var count atomic.Int64
	b.simulate(n, func(_ int, rng *rand.Rand) {
		if one(rng) {
			count.Add(1)
		}
	})
	return int(count.Load())
}
