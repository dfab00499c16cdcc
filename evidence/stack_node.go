package evidence

import "regexp"

var (
	nodeNamed = regexp.MustCompile(`^\s*at (?:async |new )?(.+?) \(((?:[A-Za-z]:)?[^()]*?):(\d+):\d+\)$`)
	nodeBare  = regexp.MustCompile(`^\s*at (?:async )?((?:[A-Za-z]:)?[^()]+?):(\d+):\d+$`)
)

// nodeStack reads the stacks of V8 (Node.js, Chromium): "at f (file:1:2)" and
// "at file:1:2".
func nodeStack(lines []string) []Frame {
	var frames []Frame
	for _, l := range lines {
		if m := nodeNamed.FindStringSubmatch(l); m != nil {
			frames = append(frames, Frame{Function: m[1], File: m[2], Line: atoi(m[3]), InApp: nodeInApp(m[2])})
		} else if m := nodeBare.FindStringSubmatch(l); m != nil {
			frames = append(frames, Frame{Function: "<anonymous>", File: m[1], Line: atoi(m[2]), InApp: nodeInApp(m[1])})
		}
	}
	return frames
}

func nodeInApp(file string) bool {
	return !containsAny(file, "node_modules/", `node_modules\`) && !hasAnyPrefix(file, "node:", "internal/", "native ", "<anonymous>") &&
		containsAny(file, "/", `\`, ".js", ".ts")
}
