package main

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/internal/httpapi"
)

func (c *cli) eventCommand() *cobra.Command {
	return parent(&cobra.Command{Use: "event", Aliases: []string{"events"}, Short: "Changes: deployments, flags, configuration, tests"},
		c.eventSend(), c.eventList(), c.eventUndo())
}

func (c *cli) eventSend() *cobra.Command {
	var in httpapi.EventInput
	var undoURL string
	var ago span
	cmd := &cobra.Command{
		Use:   "send TYPE",
		Short: "Tell of a change",
		Example: `  tidegate event send deployment.finished --title "checkout 2.1" --service checkout --environment production --to 2.1
  tidegate event send configuration.changed --title "pool size 10 → 50" --service payment --reason "more traffic"
  tidegate event send test.finished --title "k6 load test" --service checkout --property duration=1m --property purpose=acceptance`,
		Args: cobra.ExactArgs(1),
		ValidArgs: []string{change.TypeDeploymentFinished, change.TypeConfigurationChanged, change.TypeFlagChanged,
			change.TypeTestStarted, change.TypeTestFinished, change.TypeAnnotation},
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Type = args[0]
			if in.Title == "" {
				in.Title = strings.ReplaceAll(args[0], ".", " ")
			}
			if in.Who == "" {
				in.Who = whoAmI()
			}
			if ago > 0 {
				in.Start = time.Now().Add(-time.Duration(ago))
			}
			if undoURL != "" {
				in.Undo = &change.Undo{Kind: "webhook", URL: undoURL}
			}
			api, err := c.client()
			if err != nil {
				return err
			}
			e, err := post[change.Event](cmd.Context(), api, "/v1/events", in)
			if err != nil {
				return err
			}
			return c.show(cmd, e, func(w io.Writer) {
				fmt.Fprintf(w, "recorded %s (%s)\n", e.ID, e.Type)
			})
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&in.ID, "id", "", "id; makes a repeated call harmless")
	f.StringVar(&in.Title, "title", "", "what happened, in a few words")
	f.StringVar(&in.Service, "service", "", "service it happened to")
	f.StringVar(&in.Environment, "environment", "", "environment")
	f.StringVar(&in.Version, "version", "", "version of the service")
	f.StringVar(&in.Selector, "selector", "", "services by selector, for example team=shop,environment=dev")
	f.StringVar(&in.Key, "key", "", "what was changed within its kind: flag key, application")
	f.StringVar(&in.From, "from", "", "value before")
	f.StringVar(&in.To, "to", "", "value after")
	f.StringVar(&in.Who, "who", "", "who did it; default: you")
	f.StringVar(&in.Reason, "reason", "", "why")
	f.StringVar(&in.Source, "source", "cli", "tool that did it")
	f.StringVar(&in.Correlation, "correlation", "", "id of the run it belongs to")
	f.StringToStringVar(&in.Properties, "property", nil, "key=value; may be repeated")
	f.StringVar(&undoURL, "undo-webhook", "", "URL that takes the change back when it is posted to")
	f.Var(&ago, "ago", "it happened this long ago")
	return cmd
}

// changeKinds are the kinds of what people and machines do to a system.
var changeKinds = []string{string(change.KindDeployment), string(change.KindConfiguration), string(change.KindFlag), string(change.KindTest),
	string(change.KindAnnotation), string(change.KindProblem), string(change.KindAction)}

func (c *cli) eventList() *cobra.Command {
	var service string
	var kinds []string
	var all bool
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List changes, newest first", Args: cobra.NoArgs,
		Long: "List changes, newest first. What validations say of themselves is left out; --all has it.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			q := url.Values{"limit": {fmt.Sprint(limit)}, "kind": {strings.Join(kinds, ",")}}
			if all {
				q.Del("kind")
			}
			if service != "" {
				q.Set("service", service)
			}
			answer, err := get[httpapi.EventList](cmd.Context(), api, "/v1/events", q)
			if err != nil {
				return err
			}
			return c.show(cmd, answer.Events, func(w io.Writer) {
				table(w, "WHEN\tTYPE\tWHERE\tWHO\tTITLE\tID", "no changes are known", func(row func(...any)) {
					for _, e := range answer.Events {
						row(ago(e.Start), e.Type, dash(e.Ref.String()), dash(e.Who), e.Title, e.ID)
					}
				})
			})
		},
	}
	cmd.Flags().StringVar(&service, "service", "", "only of this service")
	cmd.Flags().StringSliceVar(&kinds, "kind", changeKinds, "kinds to list")
	cmd.Flags().BoolVar(&all, "all", false, "every kind, also what validations say of themselves")
	cmd.MarkFlagsMutuallyExclusive("kind", "all")
	_ = cmd.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions(changeKinds, cobra.ShellCompDirectiveNoFileComp))
	cmd.Flags().IntVar(&limit, "limit", 30, "how many")
	return cmd
}

func (c *cli) eventUndo() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "undo ID", Short: "Take a change back, the way its event says", Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeEvents,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			e, err := post[change.Event](cmd.Context(), api, "/v1/events/"+url.PathEscape(args[0])+"/undo",
				httpapi.WhoWhy{Who: whoAmI(), Reason: reason})
			if err != nil {
				return unknown(err, "tidegate event list")
			}
			return c.show(cmd, e, func(w io.Writer) { fmt.Fprintf(w, "undone: %s\n", e.Title) })
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; kept in the audit")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}
