// Package judge decides whether what was measured is good enough, with known
// error rates. It is pure: no clock, no I/O, no globals; the same input gives
// the same verdict.
package judge

// Judge holds every input against its objective and combines the results.
func Judge(opts Options, inputs []Input) Verdict {
	panic("not built yet")
}
