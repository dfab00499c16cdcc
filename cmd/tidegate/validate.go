package main

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/internal/httpapi"
	"github.com/tidegate-io/tidegate/judge"
)

func (c *cli) validateCommand() *cobra.Command {
	in := httpapi.ValidationInput{Wait: true}
	var last, next span
	var from, to string
	var tags, variables map[string]string
	cmd := &cobra.Command{
		Use:   "validate GUARDIAN",
		Short: "Ask a guardian for a verdict",
		Long: `Ask a guardian for a verdict over a window and wait for it.

Exit code: 0 pass (or warn), 1 fail, 2 inconclusive or still learning, 3 error.`,
		Example: `  tidegate validate checkout --last 1m
  tidegate validate checkout --next 5m --tag purpose=acceptance
  tidegate validate checkout --from 2026-11-21T10:00:00Z --to 2026-11-21T10:05:00Z -o json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: c.completeGuardians,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, t := range []struct {
				text string
				into *time.Time
			}{{from, &in.From}, {to, &in.To}} {
				if t.text == "" {
					continue
				}
				v, err := time.Parse(time.RFC3339, t.text)
				if err != nil {
					return fmt.Errorf("%q is not a time: expected for example 2026-11-21T10:00:00Z", t.text)
				}
				*t.into = v
			}
			switch {
			case next > 0:
				in.Next = time.Duration(next).String()
			case last > 0 || from == "" && to == "":
				in.Last = cmp.Or(time.Duration(last), time.Minute).String()
			}
			in.Tags, in.Variables, in.Who = tags, variables, whoAmI()
			wait := in.Wait
			live := wait && (in.Next != "" || in.To.After(time.Now())) && isTerminal(cmd.ErrOrStderr())
			in.Wait = wait && !live
			api, err := c.client()
			if err != nil {
				return err
			}
			v, err := post[guardian.Validation](cmd.Context(), api, "/v1/guardians/"+url.PathEscape(args[0])+"/validations", in)
			if err != nil {
				return unknown(err, "tidegate guardian list")
			}
			if live {
				if v, err = follow(cmd.Context(), api, v, followEvery, cmd.ErrOrStderr()); err != nil {
					return err
				}
			}
			for wait && v.State != guardian.StateFinished { // longer than one request may take
				if v, err = get[guardian.Validation](cmd.Context(), api, "/v1/validations/"+url.PathEscape(v.ID), url.Values{"wait": {"true"}}); err != nil {
					return err
				}
			}
			if err := c.show(cmd, v, func(w io.Writer) { showValidation(w, &v) }); err != nil {
				return err
			}
			if !wait {
				return nil
			}
			return exitOf(v.Status)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.Var(&last, "last", "length of the window that ends now; this is the default, with 1m")
	f.Var(&next, "next", "length of the window that begins now")
	f.StringVar(&from, "from", "", "begin of the window, RFC 3339")
	f.StringVar(&to, "to", "", "end of the window, RFC 3339")
	f.StringToStringVar(&variables, "var", nil, "value of one of the guardian's variables, name=value; may be repeated")
	f.StringToStringVar(&tags, "tag", nil, "tag of the validation, key=value; may be repeated")
	f.BoolVar(&in.Wait, "wait", true, "wait for the verdict")
	f.StringVar(&in.ID, "id", "", "id of the validation; makes a repeated call harmless")
	cmd.MarkFlagsMutuallyExclusive("last", "next", "from")
	cmd.MarkFlagsRequiredTogether("from", "to")
	return cmd
}

// showValidation prints the verdict as a person wants it: the sentence, then
// the numbers, then the cause.
func showValidation(w io.Writer, v *guardian.Validation) {
	if v.State != guardian.StateFinished {
		fmt.Fprintf(w, "%s validation %d is %s: see it with: tidegate validation show %s\n", v.Guardian, v.Number, v.State, v.ID)
		return
	}
	fmt.Fprintf(w, "%s  %s\n\n", statusText(v.Status), v.Headline)
	showResults(w, v.Verdict)
	showEvidence(w, v)
	fmt.Fprintf(w, "\nvalidation %s (%s #%d), window %s … %s\n", v.ID, v.Guardian, v.Number,
		v.Window.From.Local().Format("15:04:05"), v.Window.To.Local().Format("15:04:05"))
}

// showResults prints the numbers of every objective, then the sentences on
// those that hold a pass back.
func showResults(w io.Writer, v *judge.Verdict) {
	if v == nil {
		return
	}
	table(w, "OBJECTIVE\tSTATUS\tVALUE\tLIKELY\tLIMIT\tN", "no objectives", func(row func(...any)) {
		for _, r := range v.Results {
			likely, limit := "-", r.Limit
			if !r.Low.IsNaN() && !r.High.IsNaN() {
				likely = quantity(r.Low, r.Unit) + " … " + quantity(r.High, r.Unit)
			}
			if r.Status == judge.StatusWarn && !r.Warn.IsNaN() {
				limit = r.Warn
			}
			row(r.Name, statusText(r.Status), quantity(r.Estimate, r.Unit), likely, quantity(limit, r.Unit), fmt.Sprintf("%.0f", r.N))
		}
	})
	gap := "\n"
	for _, r := range v.Results {
		if r.Why != "" && r.Status != judge.StatusPass && r.Status != judge.StatusInfo {
			fmt.Fprintf(w, "%s%s %s: %s\n", gap, symbols[r.Status], r.Name, r.Why)
			gap = ""
		}
	}
}

func showEvidence(w io.Writer, v *guardian.Validation) {
	e := v.Evidence
	if e == nil {
		return
	}
	for i, g := range e.Failures {
		if i == 3 {
			fmt.Fprintf(w, "\n… and %d more groups of failures\n", len(e.Failures)-i)
			break
		}
		fmt.Fprintf(w, "\n%.0f %% of the failed requests (%d) began at %s %s\n", g.Share*100, g.Count, g.Service, g.Operation)
		if g.ExceptionType != "" || g.Message != "" {
			fmt.Fprintf(w, "  %s: %s\n", dash(g.ExceptionType), g.Message)
		}
		if t := g.StackTop; t != nil {
			fmt.Fprintf(w, "  at %s (%s:%d)\n", t.Function, t.File, t.Line)
		}
		var hops []string
		for _, h := range g.Path {
			hops = append(hops, h.Service)
		}
		fmt.Fprintf(w, "  path: %s\n", strings.Join(compact(hops), " → "))
		if len(g.Exemplars) > 0 {
			fmt.Fprintf(w, "  see: tidegate trace get %s\n", g.Exemplars[0].TraceID)
		}
	}
	if cause, ok := e.Cause(); ok {
		fmt.Fprintf(w, "\ncause: %s, by %s, %.0f s before the first failure\n", cause.Event.Title, dash(cause.Event.Who), cause.SecondsBefore)
		fmt.Fprintf(w, "  undo: tidegate event undo %s --reason …\n", cause.Event.ID)
	}
	for _, gap := range e.Gaps {
		fmt.Fprintf(w, "\nnot looked at: %s\n", gap)
	}
}

// compact drops repeats that follow each other.
func compact(in []string) []string {
	var out []string
	for _, s := range in {
		if len(out) == 0 || out[len(out)-1] != s {
			out = append(out, s)
		}
	}
	return out
}

func (c *cli) guardianCommand() *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List guardians with their last verdict", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			answer, err := get[struct{ Guardians []httpapi.GuardianItem }](cmd.Context(), api, "/v1/guardians", nil)
			if err != nil {
				return err
			}
			return c.show(cmd, answer.Guardians, func(w io.Writer) {
				table(w, "NAME\tTARGET\tOBJECTIVES\tLAST\tWHEN", "no guardians yet: define one with tidegate apply -f FILE", func(row func(...any)) {
					for _, g := range answer.Guardians {
						last, when := "-", "-"
						if g.Last != nil {
							last, when = statusText(g.Last.Status), ago(g.Last.Finished)
						}
						row(g.Guardian.Name, g.Guardian.Target, len(g.Guardian.Objectives), last, when)
					}
				})
			})
		},
	}
	var limit int
	history := &cobra.Command{
		Use: "history GUARDIAN", Short: "List a guardian's validations, newest first",
		Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeGuardians,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			answer, err := get[httpapi.ValidationList](cmd.Context(), api, "/v1/guardians/"+url.PathEscape(args[0])+"/validations",
				url.Values{"limit": {fmt.Sprint(limit)}})
			if err != nil {
				return unknown(err, "tidegate guardian list")
			}
			return c.show(cmd, answer.Validations, func(w io.Writer) {
				table(w, "#\tSTATUS\tWHEN\tTRAINING\tID\tHEADLINE", "no validations yet: ask for one with tidegate validate "+args[0], func(row func(...any)) {
					for _, v := range answer.Validations {
						state := string(v.State)
						if v.State == guardian.StateFinished {
							state = statusText(v.Status)
						}
						row(v.Number, state, ago(v.Created), v.Training, v.ID, v.Headline)
					}
				})
			})
		},
	}
	history.Flags().IntVar(&limit, "limit", 20, "how many")
	return parent(&cobra.Command{Use: "guardian", Aliases: []string{"guardians"}, Short: "Guardians and their history"}, list, history)
}

func (c *cli) validationCommand() *cobra.Command {
	show := &cobra.Command{
		Use: "show ID", Short: "Show a verdict with its evidence", Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeValidations,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			v, err := get[guardian.Validation](cmd.Context(), api, "/v1/validations/"+url.PathEscape(args[0]), nil)
			if err != nil {
				return unknown(err, "tidegate guardian history GUARDIAN")
			}
			return c.show(cmd, v, func(w io.Writer) { showValidation(w, &v) })
		},
	}
	return parent(&cobra.Command{Use: "validation", Aliases: []string{"validations"}, Short: "One validation: show, report, training, pin"},
		show, c.reportCommand(),
		c.trainingCommand("accept", "accepted", "Let adaptive objectives learn from this run whatever its verdict"),
		c.trainingCommand("reject", "rejected", "Do not learn from this run"),
		c.pinCommand("pin", true, "Make this run the reference that adaptive objectives compare with"),
		c.pinCommand("unpin", false, "Learn from the history again"))
}

func (c *cli) reportCommand() *cobra.Command {
	var format, file string
	cmd := &cobra.Command{
		Use: "report ID", Short: "Write the report of a validation (one self-contained file)", Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeValidations,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			var doc []byte
			path := "/v1/validations/" + url.PathEscape(args[0]) + "/report?format=" + url.QueryEscape(format)
			if err := api.do(cmd.Context(), http.MethodGet, path, nil, &doc); err != nil {
				return unknown(err, "tidegate guardian history GUARDIAN")
			}
			if file == "" || file == "-" {
				_, err = cmd.OutOrStdout().Write(doc)
				return err
			}
			if err := os.WriteFile(file, doc, 0o644); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "wrote %s\n", file)
			return nil
		},
	}
	cmd.Flags().StringVar(&format, "format", "html", "html, markdown or json")
	cmd.Flags().StringVarP(&file, "file", "f", "", "file to write; default standard output")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"html", "markdown", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (c *cli) trainingCommand(use, decision, short string) *cobra.Command {
	return c.decide(use+" ID", short, func(reason string) (string, map[string]any) {
		return "training", map[string]any{"decision": decision, "who": whoAmI(), "reason": reason}
	})
}

func (c *cli) pinCommand(use string, pinned bool, short string) *cobra.Command {
	return c.decide(use+" ID", short, func(reason string) (string, map[string]any) {
		return "pin", map[string]any{"pinned": pinned, "who": whoAmI(), "reason": reason}
	})
}

func (c *cli) decide(use, short string, request func(reason string) (string, map[string]any)) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeValidations,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			path, body := request(reason)
			v, err := post[guardian.Validation](cmd.Context(), api, "/v1/validations/"+url.PathEscape(args[0])+"/"+path, body)
			if err != nil {
				return unknown(err, "tidegate guardian history GUARDIAN")
			}
			return c.show(cmd, v, func(w io.Writer) {
				fmt.Fprintf(w, "%s #%d: training %s, pinned %t\n", v.Guardian, v.Number, v.Training, v.Pinned)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; kept in the audit")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}
