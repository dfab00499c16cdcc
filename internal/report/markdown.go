package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/tidegate-io/tidegate/evidence"
)

// shownStack is how much of a stack trace Markdown shows; it is for tickets
// and chats.
const shownStack = 4000

// markdown is a document being written, section by section.
type markdown struct{ strings.Builder }

func renderMarkdown(w io.Writer, p page) error {
	var m markdown
	m.head(p)
	m.decision(p)
	m.why(p)
	m.objectives(p)
	m.foot(p)
	_, err := io.WriteString(w, m.String())
	return err
}

func (m *markdown) line(format string, args ...any) {
	fmt.Fprintf(m, format, args...)
	m.WriteByte('\n')
}

// escape takes the meaning from what would be markup, and keeps a text on
// one line.
func escape(s string) string {
	return markdownMarkup.Replace(strings.Join(strings.Fields(s), " "))
}

var markdownMarkup = strings.NewReplacer(
	`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", "&lt;", ">", "&gt;",
	"&", "&amp;", "#", `\#`, "|", `\|`, "~", `\~`, "!", `\!`,
)

// fence puts text in a code block that it cannot end.
func (m *markdown) fence(text string) {
	marks := "```"
	for strings.Contains(text, marks) {
		marks += "`"
	}
	m.line("%s\n%s\n%s\n", marks, text, marks)
}

func (m *markdown) head(p page) {
	m.line("# %s %s\n", p.Status.Shape, escape(p.Headline))
	title := escape(p.Title)
	if p.URL != "" {
		title = fmt.Sprintf("[%s](<%s>)", title, p.URL)
	}
	m.line("**%s** · %s\n", title, p.Status.Word)
	for _, f := range p.Facts {
		m.line("- %s: %s", escape(f.Name), escape(f.Value))
	}
	var tags []string
	for _, t := range p.Tags {
		tags = append(tags, t.Name+": "+t.Value)
	}
	if len(tags) > 0 {
		m.line("- %s", escape(strings.Join(tags, ", ")))
	}
	m.line("")
}

func (m *markdown) decision(p page) {
	m.line("## Decision\n\n%s\n", escape(p.Decision))
	for _, a := range p.Actions {
		m.line("- **%s** %s", escape(a.What), escape(listed(by(a.Who), a.When, a.After, a.Reason)))
	}
	if v := p.Verified; v != nil {
		m.line("- **Checked afterwards:** %s %s (%s)", v.Status.Shape, escape(v.Headline), escape(v.Window))
	}
	for _, s := range p.Steps {
		m.line("- Step %s (%s): %s", escape(s.Name), escape(s.Kind), escape(strings.TrimSuffix(s.State+": "+s.Error, ": ")))
	}
	m.line("")
}

func by(who string) string {
	if who == "" {
		return ""
	}
	return "by " + who
}

func listed(parts ...string) string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return strings.Join(out, ", ")
}

func (m *markdown) why(p page) {
	if p.Cause == nil && len(p.Failures)+len(p.Slow)+len(p.Logs)+len(p.Others) == 0 {
		return
	}
	m.line("## Why\n")
	if c := p.Cause; c != nil {
		m.line("**%s** %s. %s\n", escape(c.What), escape(listed(by(c.Who), c.When, c.Before)), escape(c.Why))
	} else {
		m.line("No change is blamed: none preceded the trouble closely enough on its path.\n")
	}
	if p.FailedText != "" {
		m.line("%s\n", escape(p.FailedText))
	}
	for _, f := range p.Failures {
		m.failure(f)
	}
	if len(p.Slow) > 0 {
		m.line("| Where the time went | now | before | more |\n|---|---:|---:|---:|")
		for _, s := range p.Slow {
			m.line("| %s %s | %s | %s | %s |", escape(s.Service), escape(s.Operation), s.Candidate, s.Baseline, s.More)
		}
		m.line("")
	}
	m.logs(p.Logs)
	for _, c := range p.Others {
		m.line("- Not blamed: %s %s. %s", escape(c.What), escape(listed(by(c.Who), c.Before)), escape(c.Why))
	}
	m.line("")
}

func (m *markdown) failure(f failure) {
	m.line("### %s of the failures begin in %s, %s (%s)\n", f.Share, escape(f.Service), escape(f.Operation), f.Seen)
	hops := make([]string, len(f.Path))
	for i, h := range f.Path {
		hops[i] = escape(h.Service + " " + h.Operation)
	}
	m.line("%s\n", strings.Join(hops, " → "))
	if f.Note != "" {
		m.line("%s\n", escape(f.Note))
	}
	text := f.Exception
	if f.Stack != "" {
		text += "\n" + f.Stack
	}
	if text != "" {
		m.fence(shorten(text, shownStack))
	}
	if len(f.Exemplars) > 0 {
		x := f.Exemplars[0]
		id := "`" + x.ID + "`"
		if x.URL != "" {
			id = fmt.Sprintf("[%s](<%s>)", id, x.URL)
		}
		m.line("For example trace %s, %s\n", id, x.When)
	}
}

func (m *markdown) logs(logs []evidence.LogTemplate) {
	if len(logs) == 0 {
		return
	}
	m.line("| New in the logs | now | before |\n|---|---:|---:|")
	for _, l := range logs {
		m.line("| %s %s: %s | %d | %d |", escape(l.Service), escape(l.Severity), escape(l.Template), l.Count, l.Baseline)
	}
	m.line("")
}

func (m *markdown) objectives(p page) {
	if len(p.Objectives) == 0 {
		return
	}
	m.line("## Objectives\n\n| | Objective | Value | Likely | Limit | n | Why |\n|---|---|---:|---|---|---:|---|")
	for _, o := range p.Objectives {
		said := append([]string{o.Why}, o.Notes...)
		if o.Evidence != nil {
			said = append(said, o.Evidence.Text)
		}
		m.line("| %s %s | %s | %s | %s | %s | %s | %s |", o.Status.Shape, o.Status.Word, escape(o.Name), escape(o.Estimate),
			escape(o.Interval), escape(o.Limit), escape(o.N), escape(strings.Join(said, " ")))
	}
	m.line("")
}

func (m *markdown) foot(p page) {
	foot := []string{p.Judged}
	if len(p.Gaps) > 0 {
		foot = append(foot, "Not looked at: "+strings.Join(p.Gaps, "; ")+".")
	}
	foot = append(foot, "All times in UTC.")
	if p.Generated != "" {
		foot = append(foot, "Written "+p.Generated+" by Tidegate.")
	}
	m.line("%s", escape(strings.Join(foot, " ")))
}
