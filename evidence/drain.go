package evidence

import "strings"

// Limits of the template tree; log lines come from outside.
const (
	maxTokens    = 64
	maxTemplates = 1000
	// similar is the share of equal tokens from which two lines are of one
	// template (the value the Drain paper found best for most systems).
	similar  = 0.5
	wildcard = "<*>"
)

// miner finds the templates of log lines: Drain (He, Zhu, Zheng, Lyu, ICWS
// 2017), a tree of fixed depth by number of tokens and first token, whose
// leaves hold templates that lines are matched with by the share of equal
// tokens. Variables are masked first, which does most of the work.
type miner struct {
	leaves map[leaf][]*template
	all    []*template
}

type leaf struct {
	tokens int
	first  string
}

// template is a family of lines; differing tokens have become wildcards.
type template struct {
	tokens []string
}

func (t *template) String() string { return strings.Join(t.tokens, " ") }

func newMiner() *miner { return &miner{leaves: map[leaf][]*template{}} }

// add returns the template of a line; nil when there are too many already.
func (m *miner) add(line string) *template {
	tokens := strings.Fields(Mask(line))
	if len(tokens) > maxTokens {
		tokens = append(tokens[:maxTokens:maxTokens], "…")
	}
	if len(tokens) == 0 {
		return nil
	}
	key := leaf{len(tokens), tokens[0]}
	if strings.ContainsAny(tokens[0], "<0123456789") {
		key.first = wildcard
	}
	var best *template
	most := -1.0
	for _, t := range m.leaves[key] {
		if s := t.similarity(tokens); s > most {
			best, most = t, s
		}
	}
	if best != nil && most >= similar {
		best.merge(tokens)
		return best
	}
	if len(m.all) == maxTemplates {
		return nil
	}
	t := &template{tokens: tokens}
	m.leaves[key] = append(m.leaves[key], t)
	m.all = append(m.all, t)
	return t
}

func (t *template) similarity(tokens []string) float64 {
	same := 0
	for i, tok := range t.tokens {
		if tok == tokens[i] {
			same++
		}
	}
	return float64(same) / float64(len(tokens))
}

func (t *template) merge(tokens []string) {
	for i, tok := range t.tokens {
		if tok != tokens[i] {
			t.tokens[i] = wildcard
		}
	}
}
