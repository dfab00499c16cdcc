package evidence

import (
	"regexp"
	"strings"
)

var pythonFrame = regexp.MustCompile(`^\s*File "([^"]+)", line (\d+)(?:, in (.+))?$`)

// pythonStack reads tracebacks. They are printed outermost call first, and of
// chained exceptions the first one is where it began.
func pythonStack(lines []string) []Frame {
	var frames, section []Frame
	flush := func() {
		for i := len(section) - 1; i >= 0; i-- {
			frames = append(frames, section[i])
		}
		section = nil
	}
	for _, l := range lines {
		if strings.Contains(l, "Traceback (most recent call last)") {
			flush()
			continue
		}
		if m := pythonFrame.FindStringSubmatch(l); m != nil {
			section = append(section, Frame{Function: strings.TrimSpace(m[3]), File: m[1], Line: atoi(m[2]), InApp: pythonInApp(m[1])})
		}
	}
	flush()
	return frames
}

func pythonInApp(file string) bool {
	return !containsAny(file, "site-packages", "dist-packages", "/lib/python", "/lib64/python", `\lib\`, `\Lib\`) &&
		!strings.HasPrefix(file, "<")
}
