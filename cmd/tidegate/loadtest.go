package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate-io/tidegate/internal/httpapi"
	"github.com/tidegate-io/tidegate/loadtest"
)

func (c *cli) loadTestCommand() *cobra.Command {
	return parent(&cobra.Command{Use: "loadtest", Aliases: []string{"loadtests"}, Short: "Load tests and their runs"},
		c.loadTestList(), c.loadTestRun(), c.loadTestRuns(), c.loadTestCancel())
}

func (c *cli) loadTestList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List load tests", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			answer, err := get[struct{ Tests []httpapi.LoadTestItem }](cmd.Context(), api, "/v1/loadtests", nil)
			if err != nil {
				return err
			}
			return c.show(cmd, answer.Tests, func(w io.Writer) {
				table(w, "NAME\tTARGET\tPURPOSE\tDURATION\tLAST\tWHEN", "no load tests yet: define one with tidegate apply -f FILE", func(row func(...any)) {
					for _, t := range answer.Tests {
						last, when := "-", "-"
						if t.Last != nil {
							last, when = string(t.Last.State), ago(t.Last.Started)
						}
						row(t.Test.Name, t.Test.Target, dash(t.Test.Purpose), measured(t.Test.Duration), last, when)
					}
				})
			})
		},
	}
}

func (c *cli) loadTestRun() *cobra.Command {
	wait := true
	cmd := &cobra.Command{
		Use: "run NAME", Short: "Run a load test", Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeLoadTests,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			r, err := post[loadtest.Run](cmd.Context(), api, "/v1/loadtests/"+url.PathEscape(args[0])+"/runs", map[string]string{"who": whoAmI()})
			if err != nil {
				return unknown(err, "tidegate loadtest list")
			}
			if wait {
				if r, err = c.waitRun(cmd.Context(), api, r, cmd.ErrOrStderr()); err != nil {
					return err
				}
			}
			if err := c.show(cmd, r, func(w io.Writer) { showRun(w, r) }); err != nil {
				return err
			}
			if wait && r.State != loadtest.StateFinished {
				return exit(exitError)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", true, "wait for the end, showing progress")
	return cmd
}

// waitRun polls until the run has ended, with a line of progress.
func (c *cli) waitRun(ctx context.Context, api *client, r loadtest.Run, progress io.Writer) (loadtest.Run, error) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for r.State == loadtest.StateRunning {
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-tick.C:
		}
		var err error
		if r, err = get[loadtest.Run](ctx, api, "/v1/loadtest-runs/"+url.PathEscape(r.ID), nil); err != nil {
			return r, err
		}
		if res := r.Result; res != nil && onTerminal() {
			fmt.Fprintf(progress, "\r%s: %d requests, %d failed, %.1f/s, p90 %s   ", r.Test, res.Requests, res.Failures, res.Rate, duration(res.P90))
		}
	}
	if onTerminal() {
		fmt.Fprint(progress, "\r\x1b[K")
	}
	return r, nil
}

func showRun(w io.Writer, r loadtest.Run) {
	fmt.Fprintf(w, "%s %s (%s)", r.Test, r.State, r.ID)
	if r.Error != "" {
		fmt.Fprintf(w, ": %s", r.Error)
	}
	fmt.Fprintln(w)
	if res := r.Result; res != nil {
		fmt.Fprintf(w, "%d requests at %.1f/s, %d failed; p50 %s, p90 %s, p99 %s, max %s\n", res.Requests, res.Rate, res.Failures,
			duration(res.P50), duration(res.P90), duration(res.P99), duration(res.Max))
		for text, n := range res.Errors {
			fmt.Fprintf(w, "  %d × %s\n", n, text)
		}
	}
	if r.Output != "" {
		fmt.Fprintln(w, r.Output)
	}
}

func (c *cli) loadTestRuns() *cobra.Command {
	return &cobra.Command{
		Use: "runs [NAME]", Short: "List runs, newest first", Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeLoadTests,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			q := url.Values{}
			if len(args) > 0 {
				q.Set("test", args[0])
			}
			answer, err := get[struct{ Runs []loadtest.Run }](cmd.Context(), api, "/v1/loadtest-runs", q)
			if err != nil {
				return err
			}
			return c.show(cmd, answer.Runs, func(w io.Writer) {
				table(w, "WHEN\tTEST\tPURPOSE\tSTATE\tREQUESTS\tFAILED\tP90\tID", "no runs yet: start one with tidegate loadtest run NAME", func(row func(...any)) {
					for _, r := range answer.Runs {
						res := r.Result
						if res == nil {
							res = &loadtest.Result{}
						}
						row(ago(r.Started), r.Test, dash(r.Purpose), r.State, res.Requests, res.Failures, measured(res.P90), r.ID)
					}
				})
			})
		},
	}
}

func (c *cli) loadTestCancel() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "cancel RUN", Short: "Stop a run", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			r, err := post[loadtest.Run](cmd.Context(), api, "/v1/loadtest-runs/"+url.PathEscape(args[0])+"/cancel",
				httpapi.CancelInput{Who: whoAmI(), Reason: reason})
			if err != nil {
				return unknown(err, "tidegate loadtest runs")
			}
			return c.show(cmd, r, func(w io.Writer) { showRun(w, r) })
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; kept with the run")
	return cmd
}
