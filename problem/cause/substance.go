package cause

import (
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/tidegate-io/tidegate/change"
)

// Log-likelihood ratios of what a change consists of: how much likelier such a
// change is among those that broke something than among all.
const (
	inert      = -5.0 // documents, tests, comments: they do not run
	cosmetic   = -3.0 // styles and templates: they do not run on the server
	wording    = -1.5 // only names, texts or fields differ
	preserving = -1.5 // what was taken out was put in elsewhere: a refactoring
	patchLevel = -1.5 // a patch of a dependency
	minorLevel = -0.7
	nudged     = -0.7 // a number changed, but by less than half or double
	valueMoved = 1.5  // a number changed by more
	takenOut   = 1.5  // a call, a condition or a number was taken out, and nothing like it put in
)

// mostlyNew is how many times as many lines make a change one that adds.
const mostlyNew = 3

// doubled is by how much a number has to change to be likely to matter.
const doubled = 2.0

type diffLine struct {
	added bool
	text  string
}

// diffLines are the added and removed lines of a unified diff.
func diffLines(diff string) []diffLine {
	var out []diffLine
	for _, l := range strings.Split(clip(diff, maxText), "\n") {
		if len(l) == 0 || strings.HasPrefix(l, "+++ ") || strings.HasPrefix(l, "--- ") {
			continue
		}
		if l[0] == '+' || l[0] == '-' {
			out = append(out, diffLine{l[0] == '+', strings.TrimSpace(l[1:])})
		}
	}
	return out
}

// substance weighs what a change consists of. It says nothing about a change
// of which only the name is known.
func substance(e change.Event) (llr float64, why string) {
	files := strings.Fields(e.Properties[PropertyFiles])
	if len(files) > 0 {
		switch worst := slices.MaxFunc(files, func(a, b string) int { return int(fileClass(a)) - int(fileClass(b)) }); fileClass(worst) {
		case fileInert:
			return inert, "it changed only documents, tests or build files"
		case fileStyle:
			return cosmetic, "it changed only what is shown"
		case fileDependency:
			return bump(e.Properties[PropertyDiff])
		}
	}
	lines := diffLines(e.Properties[PropertyDiff])
	if len(lines) == 0 {
		return 0, ""
	}
	return behaviour(lines)
}

// class of a file, from what cannot break a server to what can.
type class int

const (
	fileInert class = iota
	fileStyle
	fileDependency
	fileCode
)

func fileClass(name string) class {
	base, dirs := path.Base(name), "/"+path.Dir(name)+"/"
	ext := path.Ext(base)
	stem := strings.TrimSuffix(base, ext)
	switch {
	case slices.Contains([]string{".md", ".rst", ".adoc", ".txt"}, ext) && base != "requirements.txt",
		strings.Contains(dirs, "/docs/"), strings.Contains(dirs, "/doc/"), strings.Contains(dirs, "/testdata/"), strings.Contains(dirs, "/.github/"),
		strings.Contains(dirs, "/test/"), strings.Contains(dirs, "/tests/"), strings.HasSuffix(stem, "_test"), strings.HasSuffix(stem, ".test"),
		strings.HasSuffix(stem, ".spec"), strings.HasPrefix(stem, "test_"), base == "CODEOWNERS", base == "LICENSE", base == ".golangci.yml",
		base == ".gitignore", base == ".editorconfig":
		return fileInert
	case slices.Contains([]string{".css", ".scss", ".less", ".svg", ".png", ".jpg", ".ico"}, ext), stem == "theme":
		return fileStyle
	case slices.Contains([]string{"go.mod", "go.sum", "package.json", "package-lock.json", "yarn.lock", "pnpm-lock.yaml", "requirements.txt",
		"poetry.lock", "Cargo.toml", "Cargo.lock", "pom.xml", "build.gradle", "Gemfile", "Gemfile.lock"}, base):
		return fileDependency
	}
	return fileCode
}

// bump weighs a change of dependencies by the versions in its diff.
func bump(diff string) (float64, string) {
	var was, now []string
	for _, l := range diffLines(diff) {
		for _, f := range strings.FieldsFunc(l.text, func(r rune) bool { return r != '.' && r != 'v' && !unicode.IsDigit(r) }) {
			if f = strings.Trim(f, "v."); strings.Count(f, ".") == 2 {
				if l.added {
					now = append(now, f)
				} else {
					was = append(was, f)
				}
			}
		}
	}
	level := 0
	for i := range min(len(was), len(now)) {
		a, b := strings.Split(was[i], "."), strings.Split(now[i], ".")
		switch {
		case a[0] != b[0]:
			level = max(level, 2)
		case a[1] != b[1]:
			level = max(level, 1)
		}
	}
	switch level {
	case 0:
		return patchLevel, "it takes patches of dependencies"
	case 1:
		return minorLevel, "it takes minor versions of dependencies"
	}
	return 0, "it takes a major version of a dependency"
}

// tokens of one side of a diff that say what it does.
type tokens struct {
	calls   map[string]int // names that are called
	numbers map[float64]int
	names   map[string]int
	guards  int // conditions
	lines   int
}

// behaviour weighs what the removed and the added lines do.
func behaviour(lines []diffLine) (float64, string) {
	out, in := newTokens(), newTokens()
	for _, l := range lines {
		if t := code(l.text); t != "" {
			if l.added {
				in.read(t)
			} else {
				out.read(t)
			}
		}
	}
	if out.lines+in.lines == 0 {
		return inert, "it changed only comments"
	}
	gone, come := less(out.numbers, in.numbers), less(in.numbers, out.numbers)
	if moved := factor(gone, come); moved >= doubled {
		return valueMoved, "it changed a value by a factor of " + figure(moved)
	} else if moved > 1 {
		return nudged, "it changed a value by a factor of only " + figure(moved)
	}
	if in.lines > mostlyNew*out.lines {
		return 0, "" // something new: as likely to break as any
	}
	lost, gained := less(out.calls, in.calls), less(in.calls, out.calls)
	for _, name := range slices.Collect(keys(lost)) {
		if in.names[name] > 0 {
			delete(lost, name) // still there, handed on instead of called
		}
	}
	switch {
	case len(gone) > 0 && len(come) == 0, len(lost) > len(gained), out.guards > in.guards && len(gained) == 0:
		return takenOut, "it took something out: " + strings.Join(firstNames(lost, gone, out.guards > in.guards), ", ")
	case len(lost) == 0 && len(gained) == 0 && in.guards == out.guards:
		return wording, "it changed only names, texts or fields"
	case kept(out, in) >= 0.8:
		return preserving, "what it took out it put in elsewhere"
	}
	return 0, ""
}

func newTokens() *tokens {
	return &tokens{calls: map[string]int{}, numbers: map[float64]int{}, names: map[string]int{}}
}

// code is a line without comments; empty when nothing is left.
func code(line string) string {
	for _, mark := range []string{"//", "#", "/*", "*", "--", "<!--"} {
		if strings.HasPrefix(line, mark) {
			return ""
		}
	}
	if strings.HasPrefix(line, "import ") || strings.HasPrefix(line, "from ") {
		return ""
	}
	if i := strings.Index(line, " // "); i >= 0 {
		line = line[:i]
	}
	return strings.TrimSpace(line)
}

// read takes a line of code in.
func (t *tokens) read(line string) {
	t.lines++
	rest := line
	for rest != "" {
		i := strings.IndexFunc(rest, isWord)
		if i < 0 {
			return
		}
		if q := strings.IndexAny(rest[:i], "\"'`"); q >= 0 { // a text: it does nothing, but a value may be written as one
			text, after := quoted(rest[q:])
			if v, ok := quantity(text); ok {
				t.numbers[v]++
			}
			rest = after
			continue
		}
		rest = rest[i:]
		j := strings.IndexFunc(rest, func(r rune) bool { return !isWord(r) && r != '.' })
		if j < 0 {
			j = len(rest)
		}
		t.word(strings.Trim(rest[:j], "."), strings.HasPrefix(rest[j:], "("))
		rest = rest[j:]
	}
}

func isWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// quoted returns the text that a quotation mark opens, and what follows it.
func quoted(s string) (text, rest string) {
	if end := strings.IndexByte(s[1:], s[0]); end >= 0 {
		return s[1 : end+1], s[end+2:]
	}
	return s[1:], ""
}

func (t *tokens) word(w string, called bool) {
	if v, ok := quantity(w); ok {
		t.numbers[v]++
		return
	}
	parts := strings.Split(w, ".")
	last := parts[len(parts)-1]
	if v, ok := units[last]; ok && !called {
		t.numbers[v]++
		return
	}
	switch last {
	case "if", "unless", "elif", "guard", "assert", "require":
		t.guards++
		return
	}
	for _, p := range parts {
		t.names[p]++
	}
	if called {
		t.calls[last]++
	}
}

// units are names of lengths of time, in seconds.
var units = map[string]float64{"Hour": 3600, "Minute": 60, "Second": 1, "Millisecond": 1e-3, "Microsecond": 1e-6,
	"HOURS": 3600, "MINUTES": 60, "SECONDS": 1, "MILLISECONDS": 1e-3}

// quantity reads a number, also with a unit: 50, 0.5, 1_000, 15m, 200ms, 512Mi.
func quantity(w string) (float64, bool) {
	if w == "" || !unicode.IsDigit(rune(w[0])) {
		return 0, false
	}
	if v, err := strconv.ParseFloat(strings.ReplaceAll(w, "_", ""), 64); err == nil && number(v) {
		return v, true
	}
	if d, err := time.ParseDuration(w); err == nil {
		return d.Seconds(), true
	}
	i := strings.IndexFunc(w, unicode.IsLetter)
	if i <= 0 {
		return 0, false
	}
	scale, ok := map[string]float64{"K": 1e3, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}[strings.TrimSuffix(w[i:], "B")]
	v, err := strconv.ParseFloat(w[:i], 64)
	return v * scale, ok && err == nil
}

// less is what one side has and the other has not, counting.
func less[K comparable](a, b map[K]int) map[K]int {
	out := map[K]int{}
	for k, n := range a {
		if n > b[k] {
			out[k] = n - b[k]
		}
	}
	return out
}

// factor is by how much the numbers that went differ from those that came: of
// the largest difference, pairing them in order; 1 when none went or none came.
func factor(gone, come map[float64]int) float64 {
	a, b := slices.Sorted(keys(gone)), slices.Sorted(keys(come))
	out := 1.0
	for i := range min(len(a), len(b)) {
		switch x, y := a[i], b[i]; {
		case x == y:
		case x == 0 || y == 0:
			out = math.Max(out, 10) // switched on or off
		default:
			out = math.Max(out, math.Max(x/y, y/x))
		}
	}
	return out
}

// kept is the share of the names taken out that were put in elsewhere.
func kept(out, in *tokens) float64 {
	if len(out.names) == 0 {
		return 1
	}
	n := 0
	for name := range out.names {
		if in.names[name] > 0 {
			n++
		}
	}
	return float64(n) / float64(len(out.names))
}

func firstNames(lost map[string]int, gone map[float64]int, guard bool) []string {
	out := slices.Sorted(keys(lost))
	for _, v := range slices.Sorted(keys(gone)) {
		out = append(out, figure(v))
	}
	if guard {
		out = append(out, "a condition")
	}
	return out[:min(len(out), 3)]
}
