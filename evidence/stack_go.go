package evidence

import (
	"regexp"
	"strings"
)

var goFile = regexp.MustCompile(`^\s+(.+\.(?:go|s)):(\d+)(?: \+0x[0-9a-f]+)?$`)

// goStack reads runtime stacks (debug.Stack, an unrecovered panic) and those
// of github.com/pkg/errors: a line with the function, then an indented one
// with the file. Of a panic only what led to it is kept, not the deferred
// functions that ran because of it.
func goStack(lines []string) []Frame {
	var frames []Frame
	for i := 1; i < len(lines) && len(frames) < 10*maxFrames; i++ {
		m := goFile.FindStringSubmatch(lines[i])
		if m == nil {
			continue
		}
		fn := strings.TrimSpace(lines[i-1])
		if fn == "" || strings.HasPrefix(fn, "created by ") {
			continue
		}
		fn = goFunction(fn)
		frames = append(frames, Frame{Function: fn, File: m[1], Line: atoi(m[2]), InApp: goInApp(fn, m[1])})
	}
	for i := len(frames) - 1; i >= 0; i-- {
		if frames[i].Function == "panic" || frames[i].Function == "runtime.gopanic" {
			return frames[i+1:]
		}
	}
	return frames
}

// goFunction cuts the arguments off "main.(*T).Do(0xc000012, {0x1, 0x2})".
func goFunction(s string) string {
	if !strings.HasSuffix(s, ")") {
		return s
	}
	depth := 0
	for i := len(s) - 1; i > 0; i-- {
		switch s[i] {
		case ')':
			depth++
		case '(':
			if depth--; depth == 0 {
				return s[:i]
			}
		}
	}
	return s
}

// goStandard are the first elements of the standard library's import paths.
var goStandard = func() map[string]bool {
	first := map[string]bool{}
	for _, p := range strings.Fields(`archive bufio builtin bytes cmp compress container context crypto database
		debug embed encoding errors expvar flag fmt go hash html image index internal io iter log maps math mime net os
		path plugin reflect regexp runtime slices sort strconv strings structs sync syscall testing text time unicode
		unique unsafe vendor weak`) {
		first[p] = true
	}
	return first
}()

// goInApp: not the standard library, not a module in the module cache or
// vendored, not the telemetry SDK.
func goInApp(fn, file string) bool {
	if containsAny(file, "/pkg/mod/", "/vendor/", "@v") || hasAnyPrefix(fn, "go.opentelemetry.io/", "google.golang.org/") {
		return false
	}
	first := fn
	if i := strings.IndexAny(fn, "/."); i >= 0 {
		first = fn[:i]
	}
	// A module may be called like a package of the standard library, but its
	// files do not lie in the Go distribution.
	return !goStandard[first] || strings.HasPrefix(file, "/") && !containsAny(file, "/go/src/", "/libexec/src/", "/go1.", "/golang/")
}
