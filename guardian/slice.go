package guardian

import "time"

// SliceOf returns how finely a window of the given length is cut for the
// judge; whoever reads samples beside a validation cuts them the same way.
func SliceOf(window time.Duration) time.Duration { return sliceOf(window) }
