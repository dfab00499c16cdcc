package evidence

import (
	"strconv"
	"strings"
)

// Limits of what is read of a stack trace, which comes from outside.
const (
	maxStack  = 64 << 10
	maxFrames = 100
)

// ParseStack reads a stack trace as printed by Go (runtime and
// github.com/pkg/errors), Java and other languages of the JVM, Python,
// JavaScript (V8), or .NET. Frames are ordered from where the failure began
// outwards, whatever the language's own order; of nested exceptions the
// innermost comes first. An unknown form has no frames.
func ParseStack(text string) []Frame {
	lines := strings.Split(strings.ReplaceAll(clip(text, maxStack), "\r\n", "\n"), "\n")
	var best []Frame
	for _, parse := range []func([]string) []Frame{pythonStack, goStack, nodeStack, javaStack, dotnetStack} {
		if frames := parse(lines); len(frames) > len(best) {
			best = frames
		}
	}
	if len(best) > maxFrames {
		best = best[:maxFrames]
	}
	return best
}

// TopInApp returns the first frame that is the application's own code.
func TopInApp(frames []Frame) *Frame {
	for i := range frames {
		if frames[i].InApp {
			f := frames[i]
			return &f
		}
	}
	return nil
}

// atoi is for digits that a regular expression has found; too many of them
// are no line number.
func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}

func hasAnyPrefix(s string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

func containsAny(s string, parts ...string) bool {
	for _, p := range parts {
		if strings.Contains(s, p) {
			return true
		}
	}
	return false
}
