package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate-io/tidegate/delivery/rollout"
	"github.com/tidegate-io/tidegate/delivery/traffic"
	"github.com/tidegate-io/tidegate/internal/httpapi"
	"github.com/tidegate-io/tidegate/judge"
)

func (c *cli) routeCommand() *cobra.Command {
	return parent(&cobra.Command{Use: "route", Aliases: []string{"routes"}, Short: "Addresses that users call, and the versions behind them"}, c.routeList())
}

func (c *cli) routeList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List routes with each version's share", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			answer, err := get[httpapi.RouteList](cmd.Context(), api, "/v1/routes", nil)
			if err != nil {
				return err
			}
			return c.show(cmd, answer.Routes, func(w io.Writer) {
				table(w, "ROUTE\tADDRESS\tSIDE\tVERSION\tSHARE\tREQUESTS\tFAILED\tIN FLIGHT", "no routes yet: define one with tidegate apply -f FILE", func(row func(...any)) {
					for _, r := range answer.Routes {
						if len(r.Sides) == 0 {
							row(r.Route.Name, r.Address, "-", "-", "-", "-", "-", "-")
						}
						for _, s := range r.Sides {
							row(r.Route.Name, r.Address, s.Side, dash(s.Version), fmt.Sprintf("%g%%", r.Split.Weight(s.Side)), s.Requests, s.Failures, s.InFlight)
						}
					}
				})
			})
		},
	}
}

func (c *cli) rolloutCommand() *cobra.Command {
	return parent(&cobra.Command{Use: "rollout", Aliases: []string{"rollouts"}, Short: "Give a version, or a flag, its users step by step"},
		c.rolloutList(), c.rolloutStart(), c.rolloutRuns(), c.rolloutShow(),
		c.rolloutDecide("promote", "Go on with the next step, whatever the verdict"),
		c.rolloutDecide("abort", "Give all traffic back to the stable version"))
}

func (c *cli) rolloutList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List rollouts", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			answer, err := get[httpapi.RolloutList](cmd.Context(), api, "/v1/rollouts", nil)
			if err != nil {
				return err
			}
			return c.show(cmd, answer.Rollouts, func(w io.Writer) {
				table(w, "NAME\tOF\tSTEPS\tLAST\tWHEN", "no rollouts yet: define one with tidegate apply -f FILE", func(row func(...any)) {
					for _, r := range answer.Rollouts {
						last, when := "-", "-"
						if r.Last != nil {
							last, when = string(r.Last.State), ago(r.Last.Started)
						}
						row(r.Rollout.Name, rolledOut(r.Rollout), weights(r.Rollout), last, when)
					}
				})
			})
		},
	}
}

func rolledOut(r rollout.Rollout) string {
	if r.Flag != nil {
		return "flag " + r.Flag.Key
	}
	return "route " + r.Route
}

func weights(r rollout.Rollout) string {
	var out []string
	for _, s := range r.Steps {
		out = append(out, fmt.Sprintf("%g%%", s.Weight))
	}
	return strings.Join(out, " → ")
}

func (c *cli) rolloutStart() *cobra.Command {
	in := httpapi.RolloutInput{Candidate: &traffic.Side{}}
	wait := true
	cmd := &cobra.Command{
		Use:   "start NAME",
		Short: "Begin a rollout and wait for its end",
		Long: `Begin a rollout and wait for its end.

Exit code 0: promoted. 1: taken back. 3: not possible.`,
		Example: `  tidegate rollout start shop-canary --side green --version 2.1 --url http://127.0.0.1:9002
  tidegate rollout start new-checkout --wait=false`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeRollouts,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			in.Who, in.Reason = firstOf(in.Who, whoAmI()), firstOf(in.Reason, strings.TrimSpace("rollout of version "+in.Candidate.Version))
			if in.Candidate.URL == "" {
				in.Candidate = nil
			}
			r, err := post[rollout.Run](cmd.Context(), api, "/v1/rollouts/"+url.PathEscape(args[0])+"/runs", in)
			if err != nil {
				return unknown(err, "tidegate rollout list")
			}
			if wait {
				if r, err = waitRollout(cmd.Context(), api, r, cmd.ErrOrStderr()); err != nil {
					return err
				}
			}
			if err := c.show(cmd, r, func(w io.Writer) { showRollout(w, r) }); err != nil {
				return err
			}
			switch {
			case !wait || r.State == rollout.StatePromoted:
				return nil
			case r.State == rollout.StateAborted:
				return exit(exitFail)
			}
			return exit(exitError)
		},
	}
	f := cmd.Flags()
	f.StringVar(&in.Candidate.Name, "side", "candidate", "name of the new side")
	f.StringVar(&in.Candidate.Version, "version", "", "its version, as it is judged by")
	f.StringVar(&in.Candidate.URL, "url", "", "where it runs; not for flags")
	f.StringVar(&in.Reason, "reason", "", "why; default: the version")
	f.StringVar(&in.Who, "who", "", "who rolls it out; default: you")
	f.BoolVar(&wait, "wait", true, "wait for the end, showing progress")
	return cmd
}

// waitRollout polls until the run has ended, with a line for each change.
func waitRollout(ctx context.Context, api *client, r rollout.Run, progress io.Writer) (rollout.Run, error) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	last := ""
	for r.State == rollout.StateRunning {
		if line := rolloutLine(r); line != last {
			fmt.Fprintln(progress, line)
			last = line
		}
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-tick.C:
		}
		var err error
		if r, err = get[rollout.Run](ctx, api, "/v1/rollout-runs/"+url.PathEscape(r.ID), nil); err != nil {
			return r, err
		}
	}
	return r, nil
}

func rolloutLine(r rollout.Run) string {
	line := fmt.Sprintf("%s: %g %% of the traffic, %s", r.Rollout.Name, r.Steps[r.At].Weight, r.Phase)
	if r.Why != "" {
		line += ": " + r.Why
	}
	return line
}

func showRollout(w io.Writer, r rollout.Run) {
	fmt.Fprintf(w, "%s: %s → %s %s (%s)\n", r.Rollout.Name, dash(firstOf(r.Stable.Version, r.Stable.Name)), firstOf(r.Candidate.Version, r.Candidate.Name), r.State, r.ID)
	if r.Why != "" {
		fmt.Fprintln(w, r.Why)
	}
	table(w, "STEP\tSHARE\tVERDICT\tREQUESTS\tWHY", "no steps", func(row func(...any)) {
		for i, s := range r.Steps {
			if s.Shift.Asked.IsZero() {
				row(i+1, fmt.Sprintf("%g%%", s.Weight), "-", "-", "-")
				continue
			}
			if len(s.Verdicts) == 0 {
				row(i+1, fmt.Sprintf("%g%%", s.Weight), "-", "-", firstOf(s.Approved, "-"))
			}
			for _, v := range s.Verdicts {
				row(i+1, fmt.Sprintf("%g%%", s.Weight), statusText(judge.Status(v.Status)), v.Requests, v.Headline)
			}
		}
	})
	if b := r.Back; b != nil && !b.Done.IsZero() {
		fmt.Fprintf(w, "all traffic back at %s within %s, by %s\n", r.Stable.Name, duration(b.Done.Sub(b.Asked)), dash(r.DecidedBy))
	}
}

func (c *cli) rolloutRuns() *cobra.Command {
	return &cobra.Command{
		Use: "runs [NAME]", Short: "List runs, newest first", Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeRollouts,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			q := url.Values{}
			if len(args) > 0 {
				q.Set("rollout", args[0])
			}
			answer, err := get[httpapi.RolloutRuns](cmd.Context(), api, "/v1/rollout-runs", q)
			if err != nil {
				return err
			}
			return c.show(cmd, answer.Runs, func(w io.Writer) {
				table(w, "WHEN\tROLLOUT\tFROM\tTO\tSTATE\tSHARE\tDECIDED BY\tID", "no runs yet: begin one with tidegate rollout start NAME", func(row func(...any)) {
					for _, r := range answer.Runs {
						row(ago(r.Started), r.Rollout.Name, dash(r.Stable.Version), dash(r.Candidate.Version), r.State, fmt.Sprintf("%g%%", r.Steps[r.At].Weight), dash(r.DecidedBy), r.ID)
					}
				})
			})
		},
	}
}

func (c *cli) rolloutShow() *cobra.Command {
	return &cobra.Command{
		Use: "show RUN", Short: "Show a run: its steps, their verdicts, and why", Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeRolloutRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			r, err := get[rollout.Run](cmd.Context(), api, "/v1/rollout-runs/"+url.PathEscape(args[0]), nil)
			if err != nil {
				return unknown(err, "tidegate rollout runs")
			}
			return c.show(cmd, r, func(w io.Writer) { showRollout(w, r) })
		},
	}
}

func (c *cli) rolloutDecide(what, short string) *cobra.Command {
	var in httpapi.WhoWhy
	cmd := &cobra.Command{
		Use: what + " RUN", Short: short, Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeRolloutRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			in.Who = firstOf(in.Who, whoAmI())
			r, err := post[rollout.Run](cmd.Context(), api, "/v1/rollout-runs/"+url.PathEscape(args[0])+"/"+what, in)
			if err != nil {
				return unknown(err, "tidegate rollout runs")
			}
			return c.show(cmd, r, func(w io.Writer) { showRollout(w, r) })
		},
	}
	cmd.Flags().StringVar(&in.Reason, "reason", "", "why; kept with the run")
	cmd.Flags().StringVar(&in.Who, "who", "", "who decides; default: you")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

func (c *cli) completeRollouts(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return c.first(func(cmd *cobra.Command, api *client) (out []cobra.Completion, err error) {
		answer, err := get[httpapi.RolloutList](cmd.Context(), api, "/v1/rollouts", nil)
		for _, r := range answer.Rollouts {
			out = append(out, cobra.CompletionWithDesc(r.Rollout.Name, rolledOut(r.Rollout)))
		}
		return out, err
	})(cmd, args, word)
}

func (c *cli) completeRolloutRuns(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return c.first(func(cmd *cobra.Command, api *client) (out []cobra.Completion, err error) {
		answer, err := get[httpapi.RolloutRuns](cmd.Context(), api, "/v1/rollout-runs", nil)
		for _, r := range answer.Runs {
			out = append(out, cobra.CompletionWithDesc(r.ID, fmt.Sprintf("%s %s, %s", r.Rollout.Name, r.State, ago(r.Started))))
		}
		return out, err
	})(cmd, args, word)
}
