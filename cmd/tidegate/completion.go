package main

import (
	"net/url"

	"github.com/spf13/cobra"

	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/internal/httpapi"
)

// completion completes arguments in the shell.
type completion = func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective)

// first completes the first argument with what names returns; a server that
// does not answer has nothing to offer.
func (c *cli) first(names func(cmd *cobra.Command, api *client) ([]cobra.Completion, error)) completion {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		api, err := c.client()
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		out, err := names(cmd, api)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

func (c *cli) completeGuardians(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return c.first(func(cmd *cobra.Command, api *client) (out []cobra.Completion, err error) {
		answer, err := get[httpapi.GuardianList](cmd.Context(), api, "/v1/guardians", nil)
		for _, g := range answer.Guardians {
			out = append(out, cobra.CompletionWithDesc(g.Guardian.Name, g.Guardian.Target.String()))
		}
		return out, err
	})(cmd, args, word)
}

func (c *cli) completeValidations(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return c.first(func(cmd *cobra.Command, api *client) (out []cobra.Completion, err error) {
		answer, err := get[httpapi.ValidationList](cmd.Context(), api, "/v1/validations", url.Values{"limit": {"20"}})
		for _, v := range answer.Validations {
			out = append(out, cobra.CompletionWithDesc(v.ID, describe(v)))
		}
		return out, err
	})(cmd, args, word)
}

func describe(v guardian.Validation) string {
	return v.Guardian + " " + string(v.Status) + ", " + ago(v.Created)
}

func (c *cli) completeLoadTests(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return c.first(func(cmd *cobra.Command, api *client) (out []cobra.Completion, err error) {
		answer, err := get[httpapi.LoadTestList](cmd.Context(), api, "/v1/loadtests", nil)
		for _, t := range answer.Tests {
			out = append(out, cobra.CompletionWithDesc(t.Test.Name, t.Test.Purpose))
		}
		return out, err
	})(cmd, args, word)
}

func (c *cli) completeWorkflows(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return c.first(func(cmd *cobra.Command, api *client) (out []cobra.Completion, err error) {
		answer, err := get[httpapi.WorkflowList](cmd.Context(), api, "/v1/workflows", nil)
		for _, w := range answer.Workflows {
			out = append(out, w.Workflow.Name)
		}
		return out, err
	})(cmd, args, word)
}

func (c *cli) completeEvents(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return c.first(func(cmd *cobra.Command, api *client) (out []cobra.Completion, err error) {
		answer, err := get[httpapi.EventList](cmd.Context(), api, "/v1/events", url.Values{"limit": {"100"}})
		for _, e := range answer.Events {
			if e.Undo != nil {
				out = append(out, cobra.CompletionWithDesc(e.ID, e.Title+", "+ago(e.Start)))
			}
		}
		return out, err
	})(cmd, args, word)
}
