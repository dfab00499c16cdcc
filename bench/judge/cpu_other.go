//go:build !unix

package main

import "time"

var began = time.Now()

// cpuSeconds is the wall clock where the processor time is not to be had.
func cpuSeconds() float64 { return time.Since(began).Seconds() }
