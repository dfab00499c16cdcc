package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/tidegate-io/tidegate/internal/httpapi"
	"github.com/tidegate-io/tidegate/workflow"
)

func (c *cli) workflowCommand() *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List workflows", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			answer, err := get[struct{ Workflows []httpapi.WorkflowItem }](cmd.Context(), api, "/v1/workflows", nil)
			if err != nil {
				return err
			}
			return c.show(cmd, answer.Workflows, func(w io.Writer) {
				table(w, "NAME\tON\tSTEPS\tLAST\tWHEN", "no workflows yet: define one with tidegate apply -f FILE", func(row func(...any)) {
					for _, wf := range answer.Workflows {
						last, when := "-", "-"
						if wf.Last != nil {
							last, when = string(wf.Last.State), ago(wf.Last.Started)
						}
						row(wf.Workflow.Name, wf.Workflow.On.Event, len(wf.Workflow.Steps), last, when)
					}
				})
			})
		},
	}
	runs := &cobra.Command{
		Use: "runs [NAME]", Short: "List runs, newest first", Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeWorkflows,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			q := url.Values{}
			if len(args) > 0 {
				q.Set("workflow", args[0])
			}
			answer, err := get[struct{ Runs []workflow.Run }](cmd.Context(), api, "/v1/workflow-runs", q)
			if err != nil {
				return err
			}
			return c.show(cmd, answer.Runs, func(w io.Writer) {
				table(w, "WHEN\tWORKFLOW\tSTATE\tEVENT\tID", "no runs yet: they start with the events that the workflows wait for", func(row func(...any)) {
					for _, r := range answer.Runs {
						row(ago(r.Started), r.Workflow, r.State, r.Event.Title, r.ID)
					}
				})
			})
		},
	}
	show := &cobra.Command{
		Use: "show RUN", Short: "Show a run with each step's input and output", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			r, err := get[workflow.Run](cmd.Context(), api, "/v1/workflow-runs/"+url.PathEscape(args[0]), nil)
			if err != nil {
				return unknown(err, "tidegate workflow runs")
			}
			return c.show(cmd, r, func(w io.Writer) {
				fmt.Fprintf(w, "%s %s, on %s %q\n\n", r.Workflow, r.State, r.Event.Type, r.Event.Title)
				table(w, "STEP\tKIND\tSTATE\tTOOK\tOUTPUT", "no steps", func(row func(...any)) {
					for _, s := range r.Steps {
						took := "-"
						if !s.Started.IsZero() && !s.Finished.IsZero() {
							took = duration(s.Finished.Sub(s.Started))
						}
						row(s.Name, s.Kind, s.State, took, dash(outcome(s)))
					}
				})
			})
		},
	}
	return parent(&cobra.Command{Use: "workflow", Aliases: []string{"workflows"}, Short: "Workflows and their runs"}, list, runs, show)
}

// outcome is what a person wants to know of a finished step.
func outcome(s workflow.StepRun) string {
	var v workflow.Validated
	if s.Error == "" && s.Kind == "validate" && json.Unmarshal(s.Output, &v) == nil && v.Validation != "" {
		return fmt.Sprintf("%s (tidegate validation show %s)", firstOf(v.Headline, v.Status), v.Validation)
	}
	return firstOf(s.Error, clip(string(s.Output), 100))
}

func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
