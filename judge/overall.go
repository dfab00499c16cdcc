package judge

import (
	"fmt"
	"strings"
)

// severity orders the statuses for "the worst decides": what demonstrably
// failed is said first, what could not be judged next. Learning comes before
// pass: a verdict that partly rests on nothing is not a pass.
var severity = map[Status]int{
	StatusFail: 6, StatusError: 5, StatusInconclusive: 4, StatusWarn: 3, StatusLearning: 2, StatusPass: 1, StatusInfo: 0,
}

// combine fills status, score and summary from the results.
func combine(v *Verdict, opts *Options, list []*assessment) {
	worst, deciding := StatusInfo, 0
	for _, a := range list {
		if a.result.Role == RoleInfo {
			continue
		}
		deciding++
		if severity[a.result.Status] > severity[worst] {
			worst = a.result.Status
		}
	}
	v.Status = worst
	if len(list) == 0 {
		v.Status, v.Summary = StatusInconclusive, "Nothing was judged: there is no objective."
		return
	}
	if opts.Score != nil && deciding > 0 {
		scored(v, opts.Score, list)
	}
	v.Summary = summary(v, list)
}

// scored replaces the status by the weighted one: the percentage of the
// weights that passed, a warning counting half (Keptn's total score). What is
// still learning, or informational, has no part in it. A failed key objective
// fails the whole; one that could not be judged keeps it from passing. A score
// that is too low only because objectives could not be judged is no fail.
func scored(v *Verdict, s *Score, list []*assessment) {
	var got, open, total float64
	key := StatusInfo
	unjudged := StatusInfo
	for _, a := range list {
		st := a.result.Status
		if a.result.Role == RoleInfo || st == StatusLearning || st == StatusInfo {
			continue
		}
		total += a.weight
		switch st {
		case StatusPass:
			got += a.weight
		case StatusWarn:
			got += a.weight / 2
		case StatusError, StatusInconclusive:
			open += a.weight
			if severity[st] > severity[unjudged] {
				unjudged = st
			}
		}
		if a.result.Role == RoleKey && severity[st] > severity[key] {
			key = st
		}
	}
	if total == 0 {
		return
	}
	score := 100 * got / total
	v.Score = &score
	switch {
	case score >= s.Pass:
		v.Status = StatusPass
	case score >= s.Warn:
		v.Status = StatusWarn
	case open > 0 && 100*(got+open)/total >= s.Warn:
		v.Status = unjudged
	default:
		v.Status = StatusFail
	}
	if severity[key] >= severity[StatusInconclusive] && severity[key] > severity[v.Status] {
		v.Status = key
	}
}

// summary says in one sentence what decided. Informational objectives are
// counted as that, whatever could be said of them.
func summary(v *Verdict, list []*assessment) string {
	var counts []string
	for _, st := range []Status{StatusFail, StatusError, StatusInconclusive, StatusWarn, StatusLearning, StatusPass, StatusInfo} {
		n := 0
		for _, a := range list {
			counted := a.result.Status
			if a.result.Role == RoleInfo {
				counted = StatusInfo
			}
			if counted == st {
				n++
			}
		}
		if n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, spoken[st]))
		}
	}
	text := fmt.Sprintf("%s: %s of %d objectives", headline[v.Status], strings.Join(counts, ", "), len(list))
	if len(list) == 1 {
		text = headline[v.Status]
	}
	if v.Score != nil {
		text += fmt.Sprintf(", score %s", number(*v.Score))
	}
	if w := deciding(v, list); w != nil {
		why := w.result.Why
		if w.result.Name != "" && !strings.HasPrefix(why, w.result.Name) {
			why = w.result.Name + ": " + why
		}
		return text + ". " + why
	}
	return text + "."
}

var spoken = map[Status]string{
	StatusFail: "failed", StatusError: "could not be measured", StatusInconclusive: "inconclusive", StatusWarn: "with a warning",
	StatusLearning: "still learning", StatusPass: "passed", StatusInfo: "for information",
}

var headline = map[Status]string{
	StatusFail: "Fail", StatusError: "Error", StatusInconclusive: "Inconclusive", StatusWarn: "Warning",
	StatusLearning: "Still learning", StatusPass: "Pass", StatusInfo: "For information",
}

// deciding returns the objective that explains a verdict that is not a pass:
// the first, key objectives before others, with its status.
func deciding(v *Verdict, list []*assessment) *assessment {
	var first *assessment
	for _, a := range list {
		if a.result.Role == RoleInfo || a.result.Status != v.Status || v.Status == StatusPass || v.Status == StatusInfo {
			continue
		}
		if first == nil || a.result.Role == RoleKey && first.result.Role != RoleKey {
			first = a
		}
	}
	return first
}
