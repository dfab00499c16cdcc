package main

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate-io/tidegate/internal/httpapi"
	"github.com/tidegate-io/tidegate/telemetry"
)

func (c *cli) servicesCommand() *cobra.Command {
	last := span(15 * time.Minute)
	cmd := &cobra.Command{
		Use: "services", Short: "Services with their golden signals", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			answer, err := get[struct{ Services []httpapi.Service }](cmd.Context(), api, "/v1/services", rangeOf(last))
			if err != nil {
				return err
			}
			return c.show(cmd, answer.Services, func(w io.Writer) {
				table(w, "SERVICE\tENVIRONMENT\tVERSIONS\tRATE\tERRORS\tP50\tP95\tHEALTH", "no service had requests in the last "+last.String()+": tidegate status shows what arrives, and where to send it", func(row func(...any)) {
					for _, s := range answer.Services {
						row(s.Service, dash(s.Environment), dash(strings.Join(s.Versions, ",")), quantity(s.RequestsPerSecond, "/s"),
							quantity(s.ErrorRatio, "ratio"), quantity(s.P50, "s"), quantity(s.P95, "s"), s.Health)
					}
				})
			})
		},
	}
	cmd.Flags().Var(&last, "last", "time range")
	return cmd
}

func rangeOf(last span) url.Values {
	now := time.Now()
	return url.Values{"from": {now.Add(-time.Duration(last)).UTC().Format(time.RFC3339Nano)}, "to": {now.UTC().Format(time.RFC3339Nano)}}
}

func (c *cli) traceCommand() *cobra.Command {
	var service, operation, status, minDuration string
	last, limit := span(time.Hour), 20
	search := &cobra.Command{
		Use: "search", Short: "Find traces, newest first", Args: cobra.NoArgs,
		Example: `  tidegate trace search --service payment --status error --last 10m`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			q := rangeOf(last)
			q.Set("limit", fmt.Sprint(limit))
			for k, v := range map[string]string{"service": service, "operation": operation, "status": status, "minDuration": minDuration} {
				if v != "" {
					q.Set(k, v)
				}
			}
			answer, err := get[httpapi.TraceList](cmd.Context(), api, "/v1/traces", q)
			if err != nil {
				return err
			}
			return c.show(cmd, answer.Traces, func(w io.Writer) {
				table(w, "WHEN\tSERVICE\tOPERATION\tDURATION\tSPANS\tERRORS\tEXCEPTION\tID", "no such traces in the last "+last.String(), func(row func(...any)) {
					for _, t := range answer.Traces {
						exception := "-"
						if t.Exception != nil {
							exception = clip(t.Exception.Type+": "+t.Exception.Message, 60)
						}
						row(ago(t.Start), t.Service, t.Operation, duration(t.Duration), t.Spans, t.Errors, exception, t.ID)
					}
				})
			})
		},
	}
	f := search.Flags()
	f.StringVar(&service, "service", "", "service")
	f.StringVar(&operation, "operation", "", "operation")
	f.StringVar(&status, "status", "", "unset, ok or error")
	f.StringVar(&minDuration, "min-duration", "", "at least this long, for example 200ms")
	f.Var(&last, "last", "time range")
	f.IntVar(&limit, "limit", limit, "how many, at most 500")
	show := &cobra.Command{
		Use: "get ID", Short: "Show one trace", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			t, err := get[telemetry.Trace](cmd.Context(), api, "/v1/traces/"+url.PathEscape(args[0]), nil)
			if err != nil {
				return err
			}
			return c.show(cmd, t, func(w io.Writer) { showTrace(w, &t) })
		},
	}
	return parent(&cobra.Command{Use: "trace", Aliases: []string{"traces"}, Short: "Find and show traces"}, search, show, c.traceFailures())
}

// showTrace prints the tree of spans, failed ones with their exception.
func showTrace(w io.Writer, t *telemetry.Trace) {
	from, to := t.Bounds()
	fmt.Fprintf(w, "trace %s, %d spans, %s\n", t.ID, len(t.Spans), duration(to.Sub(from)))
	children := t.Children()
	have := map[telemetry.SpanID]bool{}
	for i := range t.Spans {
		have[t.Spans[i].ID] = true
	}
	printed := map[int]bool{}
	var walk func(i, depth int)
	walk = func(i, depth int) {
		if printed[i] {
			return
		}
		printed[i] = true
		s := &t.Spans[i]
		mark := " "
		if s.Failed() {
			mark = "✕"
		}
		fmt.Fprintf(w, "%s %8s %9s  %s%s  %s\n", mark, "+"+duration(s.Start.Sub(from)), duration(s.Duration), strings.Repeat("  ", depth), s.Service, s.Name)
		if e, ok := s.Exception(); ok {
			pad := strings.Repeat(" ", 22+2*depth)
			fmt.Fprintf(w, "%s%s: %s\n", pad, e.Type, e.Message)
			for _, line := range firstLines(e.Stacktrace, 8) {
				fmt.Fprintf(w, "%s  %s\n", pad, line)
			}
		}
		for _, k := range children[s.ID] {
			walk(k, depth+1)
		}
	}
	for i := range t.Spans {
		if s := &t.Spans[i]; !have[s.ParentID] {
			walk(i, 0)
		}
	}
}

func firstLines(s string, n int) []string {
	if s == "" {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(s), "\n")
	if len(lines) > n {
		lines = append(lines[:n], "…")
	}
	return lines
}

func (c *cli) logsCommand() *cobra.Command {
	var service, severity, text, traceID string
	last, limit := span(time.Hour), 50
	cmd := &cobra.Command{
		Use: "logs", Short: "Search logs, newest first", Args: cobra.NoArgs,
		Example: `  tidegate logs --service payment --severity error --contains token`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			q := rangeOf(last)
			q.Set("limit", fmt.Sprint(limit))
			for k, v := range map[string]string{"service": service, "severity": severity, "q": text, "traceId": traceID} {
				if v != "" {
					q.Set(k, v)
				}
			}
			answer, err := get[httpapi.LogList](cmd.Context(), api, "/v1/logs", q)
			if err != nil {
				return err
			}
			return c.show(cmd, answer.Logs, func(w io.Writer) {
				if len(answer.Logs) == 0 {
					fmt.Fprintln(w, "no such lines in the last "+last.String())
				}
				for _, l := range answer.Logs {
					fmt.Fprintf(w, "%s %-5s %s  %s\n", l.Time.Local().Format("15:04:05.000"), l.Severity, l.Service, l.Body)
				}
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&service, "service", "", "service")
	f.StringVar(&severity, "severity", "", "at least trace, debug, info, warn, error or fatal")
	f.StringVar(&text, "contains", "", "text in the line")
	f.StringVar(&traceID, "trace", "", "trace id")
	f.Var(&last, "last", "time range")
	f.IntVar(&limit, "limit", limit, "how many, at most 1000")
	cmd.AddCommand(c.logTemplates())
	return cmd
}

// logTemplates counts lines that differ only in their variables.
func (c *cli) logTemplates() *cobra.Command {
	var service, environment, severity string
	last, limit := span(time.Hour), 30
	cmd := &cobra.Command{
		Use: "templates", Short: "Count lines that differ only in their variables, most frequent first", Args: cobra.NoArgs,
		Example: `  tidegate logs templates --service payment --severity error`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			answer, err := get[httpapi.TemplateList](cmd.Context(), api, "/v1/log-templates", grouped(last, limit, map[string]string{"service": service, "environment": environment, "severity": severity}))
			if err != nil {
				return err
			}
			return c.show(cmd, answer.Templates, func(w io.Writer) {
				table(w, "COUNT\tSERVICE\tLAST\tTEMPLATE", "no lines in the last "+last.String(), func(row func(...any)) {
					for _, t := range answer.Templates {
						row(t.Count, t.Service, ago(t.Last), t.Template)
					}
				})
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&service, "service", "", "service")
	f.StringVar(&environment, "environment", "", "environment")
	f.StringVar(&severity, "severity", "", "at least trace, debug, info, warn, error or fatal")
	f.Var(&last, "last", "time range")
	f.IntVar(&limit, "limit", limit, "how many, at most 1000")
	return cmd
}

// traceFailures counts failed spans by where and of what they died.
func (c *cli) traceFailures() *cobra.Command {
	var service, environment, version string
	last, limit := span(time.Hour), 30
	cmd := &cobra.Command{
		Use: "failures", Short: "Count failed spans by operation and exception, most frequent first", Args: cobra.NoArgs,
		Example: `  tidegate trace failures --service payment --last 10m`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			answer, err := get[httpapi.FailureList](cmd.Context(), api, "/v1/failures", grouped(last, limit, map[string]string{"service": service, "environment": environment, "version": version}))
			if err != nil {
				return err
			}
			return c.show(cmd, answer.Failures, func(w io.Writer) {
				table(w, "COUNT\tSERVICE\tOPERATION\tEXCEPTION\tLAST\tEXAMPLE", "nothing failed in the last "+last.String(), func(row func(...any)) {
					for _, g := range answer.Failures {
						row(g.Count, g.Ref, g.Operation, dash(g.ExceptionType), ago(g.Last), g.Example)
					}
				})
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&service, "service", "", "service")
	f.StringVar(&environment, "environment", "", "environment")
	f.StringVar(&version, "version", "", "version")
	f.Var(&last, "last", "time range")
	f.IntVar(&limit, "limit", limit, "how many, at most 1000")
	return cmd
}

// grouped is the query of a count over a time.
func grouped(last span, limit int, fields map[string]string) url.Values {
	q := rangeOf(last)
	q.Set("limit", fmt.Sprint(limit))
	for k, v := range fields {
		if v != "" {
			q.Set(k, v)
		}
	}
	return q
}
