package cause

import (
	"math"
	"strings"
	"unicode"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
)

// Relevance of a change's words to the symptom's.
const (
	relevant   = 2.5 // the most that common words say for a change
	irrelevant = 0.4 // what it says against one that it has none, although its words are known
	stemLength = 6   // "validation" and "validate" are one word, "expired" and "expiry" nearly
	// composite is how much an identifier of several words in common counts:
	// "dashboard_favorites" is no coincidence.
	composite  = 3.0
	whole      = 10 // letters from which on an identifier counts as composite
	halfway    = 2.5
	leastWords = 3 // a change with fewer words says nothing by having none in common
)

// common are words that say nothing: of programming, of logging, of grammar.
var common = wordSet(`a an and are as at be been but by can could do does for from get got had has have if in into is it its
 more no not of off on or other over per set so than that the their then there this to too under up was were when which will with without
 err error errors nil null none true false return func function var let const int string bool float type struct class def self new public private static
 import package ctx context name value key data file line log info warn warning fail failed failure failing exception message msg status code
 http https api request requests response server client service svc services internal pkg app src main lib com org www total ratio count rate
 p50 p90 p95 p99 ms sec second seconds minute min max avg time duration latency metric value above below observed threshold since still
 upstream downstream returned returning after before last first during while due still feat fix chore refactor docs test style perf ci build
 add added adds remove removed update updated change changed use used using make made start started stop run running call called calls
 go ts py js java yaml yml json sql md sum mod index handler handle item items config`)

func wordSet(list string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(list) {
		out[w] = true
	}
	return out
}

// bag maps the words of a text to how much each counts.
type bag map[string]float64

// add takes the words of a text in: stems, and identifiers of several words
// as a whole.
func (b bag) add(text string, weight float64) {
	for _, id := range identifiers(clip(text, maxText)) {
		words := split(id)
		if len(words) > 1 && len(id) >= whole {
			b.keep("="+strings.ToLower(id), weight*composite)
		}
		for _, w := range words {
			b.keep(w, weight)
		}
	}
}

func (b bag) keep(word string, weight float64) {
	if word[0] != '=' {
		if common[word] || len(word) < 3 || unicode.IsDigit(rune(word[0])) {
			return
		}
		if r := []rune(word); len(r) > stemLength {
			word = string(r[:stemLength])
		}
	}
	b[word] = math.Max(b[word], weight)
}

// identifiers cuts a text at what no identifier holds.
func identifiers(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool {
		return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}

// clip cuts a text to at most n bytes.
func clip(s string, n int) string {
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "")
	}
	return s
}

// symptomWords are the words of what went wrong at the suspected places.
func (w *world) symptomWords(chain map[int]bool) bag {
	b := bag{}
	for _, s := range w.Symptoms {
		b.add(s.Title, 0.7)
		b.add(s.Operation, 0.7)
	}
	for _, g := range w.Failures {
		if !g.Usual {
			b.add(g.ExceptionType+" "+g.Message+" "+g.Operation, 1)
			if g.StackTop != nil {
				b.add(g.StackTop.Function+" "+g.StackTop.File, 1)
			}
		}
	}
	for _, l := range w.Logs {
		at := w.find(entity.Ref{Service: l.Service, Environment: l.Sample.Environment})
		if complains(l) && risen(l) > 0 && chain[at] {
			b.add(l.Template, 1)
		}
	}
	for i, n := range w.nodes {
		for _, m := range n.series {
			if chain[i] && len(m.shifts) > 0 {
				b.add(m.Metric, 0.7)
			}
		}
	}
	for _, n := range w.nodes { // a name says where, not what
		for _, word := range split(n.ref.Service) {
			if r := []rune(word); len(r) > stemLength {
				word = string(r[:stemLength])
			}
			delete(b, word)
		}
	}
	return b
}

// changeWords are the words of a change: of its title, of what it names, and
// of the lines that it changed.
func changeWords(e change.Event) bag {
	b := bag{}
	b.add(e.Title, 1)
	b.add(e.Properties[PropertyMessage], 1)
	if e.Kind != change.KindDeployment {
		b.add(e.Key+" "+e.From+" "+e.To, 1)
	}
	b.add(e.Properties[PropertyFiles], 1)
	for _, l := range diffLines(e.Properties[PropertyDiff]) {
		b.add(l.text, 1)
	}
	return b
}

// relevance is the log-likelihood ratio of the words that a change has in
// common with the symptom. Words that many changes have say little.
func relevance(e bag, symptom bag, all []bag) (float64, []string) {
	if len(e) < leastWords || len(symptom) == 0 {
		return 0, nil
	}
	sum := 0.0
	var shared []string
	for _, word := range sortedWords(e) {
		weight, ok := symptom[word]
		if !ok {
			continue
		}
		in := 0.0
		for _, other := range all {
			if _, has := other[word]; has {
				in++
			}
		}
		sum += weight * math.Max(0, math.Log((float64(len(all))+2)/(in+0.5)))
		shared = append(shared, strings.TrimPrefix(word, "="))
	}
	return (relevant+irrelevant)*(1-math.Exp(-sum/halfway)) - irrelevant, shared
}
