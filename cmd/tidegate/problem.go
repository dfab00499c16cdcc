package main

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/internal/httpapi"
	"github.com/tidegate-io/tidegate/judge"
	"github.com/tidegate-io/tidegate/problem"
)

func (c *cli) problemCommand() *cobra.Command {
	return parent(&cobra.Command{Use: "problem", Aliases: []string{"problems"}, Short: "Problems: who is hurt, and why"},
		c.problemList(), c.problemShow(), c.problemComment(), c.problemAck(), c.problemClose(), c.problemReport())
}

func (c *cli) problemList() *cobra.Command {
	var state, service, environment, severity string
	var last span
	limit := 50
	cmd := &cobra.Command{
		Use: "list", Short: "List problems, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			q := url.Values{"limit": {strconv.Itoa(limit)}}
			for k, v := range map[string]string{"state": state, "service": service, "environment": environment, "severity": severity} {
				if v != "" {
					q.Set(k, v)
				}
			}
			if last > 0 {
				q.Set("from", time.Now().Add(-time.Duration(last)).Format(time.RFC3339))
			}
			answer, err := get[httpapi.ProblemList](cmd.Context(), api, "/v1/problems", q)
			if err != nil {
				return err
			}
			return c.show(cmd, answer.Problems, func(w io.Writer) {
				table(w, "PROBLEM\tSTATE\tSEVERITY\tTITLE\tCAUSE\tSINCE\tLASTED", "no problems", func(row func(...any)) {
					for _, p := range answer.Problems {
						row(p.Name(), problemState(&p), p.Severity, p.Title, causeInBrief(p.Cause), ago(p.Start), lasted(&p))
					}
				})
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&state, "state", "", "open or closed")
	f.StringVar(&service, "service", "", "an impacted service, or the one of the cause")
	f.StringVar(&environment, "environment", "", "environment")
	f.StringVar(&severity, "severity", "", "availability, error, slowdown, resource, custom or info")
	f.Var(&last, "last", "only problems that lasted in this time, for example 24h")
	f.IntVar(&limit, "limit", limit, "how many")
	words := make([]string, 0, len(problem.Severities()))
	for _, s := range problem.Severities() {
		words = append(words, string(s))
	}
	_ = cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions([]string{"open", "closed"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("severity", cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func problemState(p *problem.Problem) string {
	switch {
	case p.MergedInto != "":
		return "merged"
	case p.State == problem.StateOpen && p.AcknowledgedBy != "":
		return "open (" + p.AcknowledgedBy + ")"
	}
	return string(p.State)
}

func lasted(p *problem.Problem) string {
	end := time.Now()
	if !p.Closed.IsZero() {
		end = p.Closed
	}
	return duration(end.Sub(p.Start).Truncate(time.Second))
}

func causeInBrief(cause *problem.Cause) string {
	switch {
	case cause == nil:
		return "not known yet"
	case cause.Change != nil:
		e := &cause.Change.Event
		return string(e.Kind) + " " + cmp.Or(e.Key, e.Title)
	case cause.Service != "":
		return string(cause.Kind) + " in " + cause.Service
	}
	return string(cause.Kind)
}

func (c *cli) problemShow() *cobra.Command {
	return &cobra.Command{
		Use: "show PROBLEM", Short: "Show a problem: its cause, who is hurt, and what happened", Args: cobra.ExactArgs(1),
		Example:           "  tidegate problem show P-17",
		ValidArgsFunction: c.completeProblems(""),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			p, err := get[problem.Problem](cmd.Context(), api, problemPath(args[0], ""), nil)
			if err != nil {
				return unknown(err, "tidegate problem list")
			}
			return c.show(cmd, p, func(w io.Writer) { showProblem(w, &p) })
		},
	}
}

func problemPath(id, what string) string {
	path := "/v1/problems/" + url.PathEscape(id)
	if what != "" {
		path += "/" + what
	}
	return path
}

func showProblem(w io.Writer, p *problem.Problem) {
	fmt.Fprintf(w, "%s %s\n", p.Name(), p.Title)
	fmt.Fprintf(w, "%s, %s, since %s, %s", problemState(p), p.Severity, p.Start.Local().Format("2006-01-02 15:04:05"), lasted(p))
	switch {
	case p.Reopened == 1:
		fmt.Fprint(w, ", came back once")
	case p.Reopened > 1:
		fmt.Fprintf(w, ", came back %d times", p.Reopened)
	}
	if p.Frequent {
		fmt.Fprint(w, ", frequent")
	}
	fmt.Fprintln(w)
	if p.MergedInto != "" {
		fmt.Fprintf(w, "its events are in %s now\n", p.MergedInto)
	}
	showCause(w, p.Cause)
	showImpact(w, &p.Impact)
	fmt.Fprintln(w, "\nEvents")
	events := slices.SortedFunc(slices.Values(p.Events), func(a, b problem.Event) int { return a.Start.Compare(b.Start) })
	for i := range events {
		showProblemEvent(w, &events[i])
	}
	if p.MoreEvents > 0 {
		fmt.Fprintf(w, "  and %d more times\n", p.MoreEvents)
	}
	showAlerts(w, p)
	fmt.Fprintln(w, "\nWhat happened")
	for _, x := range p.Comments {
		fmt.Fprintf(w, "  %s  %s: %s\n", clock(x.Time), x.Who, x.Text)
	}
}

func clock(t time.Time) string { return t.Local().Format("15:04:05") }

func showCause(w io.Writer, cause *problem.Cause) {
	fmt.Fprintln(w, "\nCause")
	if cause == nil {
		fmt.Fprintln(w, "  not known yet")
		return
	}
	fmt.Fprintf(w, "  %s (%s, %.0f %% sure)\n", cmp.Or(cause.Sentence, causeInBrief(cause)), cause.Kind, cause.Confidence*100)
	if cause.Change != nil {
		fmt.Fprintf(w, "  change %s: %s, by %s\n", cause.Change.Event.ID, cause.Change.Event.Title, dash(cause.Change.Event.Who))
	}
	if cause.Remedy != "" {
		fmt.Fprintf(w, "  remedy: %s\n", cause.Remedy)
	}
	if len(cause.Path) > 0 {
		fmt.Fprintf(w, "  path: %s\n", pathText(cause.Path))
	}
	for _, f := range cause.Findings {
		fmt.Fprintf(w, "  - %s\n", f.Text)
	}
}

func pathText(hops []evidence.Hop) string {
	parts := make([]string, len(hops))
	for i, h := range hops {
		parts[i] = strings.TrimSpace(h.Service + " " + h.Operation)
	}
	return strings.Join(parts, " → ")
}

func showImpact(w io.Writer, impact *problem.Impact) {
	fmt.Fprintln(w, "\nImpact")
	services := make([]string, len(impact.Services))
	for i, s := range impact.Services {
		services[i] = s.String()
	}
	fmt.Fprintf(w, "  services: %s\n", dash(strings.Join(services, ", ")))
	if len(impact.EntryPoints) > 0 {
		fmt.Fprintf(w, "  users call: %s\n", strings.Join(impact.EntryPoints, ", "))
	}
	if impact.FailedRequests > 0 {
		fmt.Fprintf(w, "  failed requests: %.0f\n", impact.FailedRequests)
	}
	if impact.SlowRequests > 0 {
		fmt.Fprintf(w, "  slow requests: %.0f\n", impact.SlowRequests)
	}
}

func showProblemEvent(w io.Writer, e *problem.Event) {
	until := "now"
	if !e.Open() {
		until = clock(e.End)
	}
	fmt.Fprintf(w, "  %s to %s  %s", clock(e.Start), until, e.Title)
	if e.Why != "" {
		fmt.Fprintf(w, ": %s", e.Why)
	} else if e.Unit != "" {
		fmt.Fprintf(w, ": %s instead of %s", quantity(judge.Number(e.Observed), e.Unit), quantity(judge.Number(e.Expected), e.Unit))
	}
	fmt.Fprintf(w, " (%s)\n", e.Source)
}

func showAlerts(w io.Writer, p *problem.Problem) {
	if len(p.Alerts) == 0 && p.NotAlerted == "" {
		return
	}
	fmt.Fprintln(w, "\nAlerts")
	for _, a := range p.Alerts {
		line := a.Profile + ": " + string(a.State)
		switch {
		case a.State == problem.AlertSent:
			line += " at " + clock(a.Sent)
			if len(a.Channels) > 0 {
				line += " to " + strings.Join(a.Channels, ", ")
			}
		case a.Why != "":
			line += ": " + a.Why
		default:
			line += " until " + clock(a.Due)
		}
		fmt.Fprintln(w, "  "+line)
	}
	if p.NotAlerted != "" {
		fmt.Fprintln(w, "  nobody is alerted: "+p.NotAlerted)
	}
}

func (c *cli) problemComment() *cobra.Command {
	who, link := "", ""
	cmd := &cobra.Command{
		Use: "comment PROBLEM TEXT", Short: "Add to the story of a problem", Args: cobra.ExactArgs(2), ValidArgsFunction: c.completeProblems(""),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.changeProblem(cmd, args[0], "comments", httpapi.CommentInput{Who: cmp.Or(who, whoAmI()), Text: args[1], Link: link},
				func(p *problem.Problem) string { return "commented on " + p.Name() })
		},
	}
	cmd.Flags().StringVar(&who, "who", "", "your name; default from the environment")
	cmd.Flags().StringVar(&link, "link", "", "URL where there is more")
	return cmd
}

func (c *cli) problemAck() *cobra.Command {
	who := ""
	cmd := &cobra.Command{
		Use: "ack PROBLEM [TEXT]", Aliases: []string{"acknowledge"}, Short: "Say that you look after a problem", Args: cobra.RangeArgs(1, 2),
		ValidArgsFunction: c.completeProblems("open"),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := httpapi.AcknowledgeInput{Who: cmp.Or(who, whoAmI())}
			if len(args) > 1 {
				in.Text = args[1]
			}
			return c.changeProblem(cmd, args[0], "acknowledge", in,
				func(p *problem.Problem) string { return p.AcknowledgedBy + " looks after " + p.Name() })
		},
	}
	cmd.Flags().StringVar(&who, "who", "", "your name; default from the environment")
	return cmd
}

func (c *cli) problemClose() *cobra.Command {
	who, reason := "", ""
	cmd := &cobra.Command{
		Use: "close PROBLEM", Short: "Close a problem although events of it last", Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeProblems("open"),
		Example: "  tidegate problem close P-17 --reason 'a drill'",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.changeProblem(cmd, args[0], "close", httpapi.WhoWhy{Who: cmp.Or(who, whoAmI()), Reason: reason},
				func(p *problem.Problem) string { return "closed " + p.Name() })
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why (required)")
	cmd.Flags().StringVar(&who, "who", "", "your name; default from the environment")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

// changeProblem posts, and says in a line what was done.
func (c *cli) changeProblem(cmd *cobra.Command, id, what string, in any, line func(*problem.Problem) string) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	p, err := post[problem.Problem](cmd.Context(), api, problemPath(id, what), in)
	if err != nil {
		return unknown(err, "tidegate problem list")
	}
	return c.show(cmd, p, func(w io.Writer) { fmt.Fprintln(w, line(&p)) })
}

func (c *cli) problemReport() *cobra.Command {
	var in httpapi.ProblemEventInput
	var severity string
	var timeout span
	resolved := false
	cmd := &cobra.Command{
		Use: "report ID [TITLE]", Short: "Report that something is wrong, or with --resolved that it is over", Args: cobra.RangeArgs(1, 2),
		Example: "  tidegate problem report backup-failed 'The backup failed' --service postgres --severity error\n" +
			"  tidegate problem report backup-failed --resolved",
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			in.ID, in.Severity, in.TimeoutSeconds = args[0], problem.Severity(severity), int(time.Duration(timeout)/time.Second)
			if len(args) > 1 {
				in.Title = args[1]
			}
			if resolved {
				in.State = "resolved"
			}
			answer, err := post[httpapi.ProblemEventAccepted](cmd.Context(), api, "/v1/problem-events", in)
			if err != nil {
				return err
			}
			return c.show(cmd, answer, func(w io.Writer) { fmt.Fprintf(w, "event %s, problem %s\n", answer.Event, dash(answer.Problem)) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&in.Service, "service", "", "service")
	f.StringVar(&in.Environment, "environment", "", "environment")
	f.StringVar(&in.Operation, "operation", "", "operation")
	f.StringVar(&severity, "severity", "", "availability, error, slowdown, resource, custom or info; default custom")
	f.StringVar(&in.Why, "why", "", "more words, with figures")
	f.StringVar(&in.Source, "source", "", "who reports it; default api")
	f.StringVar(&in.URL, "url", "", "where there is more")
	f.Var(&timeout, "timeout", "it is over when it is not reported again for so long")
	f.BoolVar(&resolved, "resolved", false, "it is over")
	return cmd
}

// completeProblems completes the first argument with problems in a state, any
// when empty.
func (c *cli) completeProblems(state string) completion {
	return c.first(func(cmd *cobra.Command, api *client) (out []cobra.Completion, err error) {
		q := url.Values{"limit": {"30"}}
		if state != "" {
			q.Set("state", state)
		}
		answer, err := get[httpapi.ProblemList](cmd.Context(), api, "/v1/problems", q)
		for _, p := range answer.Problems {
			out = append(out, cobra.CompletionWithDesc(p.Name(), p.Title+", "+ago(p.Start)))
		}
		return out, err
	})
}
