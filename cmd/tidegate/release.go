package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate-io/tidegate/delivery/deploy"
	"github.com/tidegate-io/tidegate/delivery/pipeline"
	"github.com/tidegate-io/tidegate/internal/httpapi"
)

func (c *cli) pipelineList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List pipelines with their newest release", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			answer, err := get[httpapi.PipelineList](cmd.Context(), api, "/v1/pipelines", nil)
			if err != nil {
				return err
			}
			return c.show(cmd, answer.Pipelines, func(w io.Writer) {
				table(w, "NAME\tSTAGES\tNEWEST\tVERSION\tSTATE\tSTAGE\tWHEN", "no pipelines yet: define one with tidegate apply -f FILE", func(row func(...any)) {
					for _, p := range answer.Pipelines {
						names := make([]string, len(p.Pipeline.Stages))
						for i, s := range p.Pipeline.Stages {
							names[i] = s.Name
						}
						cells := []any{p.Pipeline.Name, strings.Join(names, " → "), "-", "-", "-", "-", "-"}
						if len(p.Releases) > 0 {
							r := p.Releases[0]
							cells = append(cells[:2], fmt.Sprint("#", r.Number), r.Revision.Version, r.State, r.Current().Name, ago(r.Created))
						}
						row(cells...)
					}
				})
			})
		},
	}
}

func (c *cli) pipelineReleases() *cobra.Command {
	return &cobra.Command{
		Use: "releases [PIPELINE]", Short: "List releases, newest first", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			path := "/v1/releases"
			if len(args) > 0 {
				path = "/v1/pipelines/" + url.PathEscape(args[0]) + "/releases"
			}
			answer, err := get[httpapi.ReleaseList](cmd.Context(), api, path, nil)
			if err != nil {
				return err
			}
			return c.show(cmd, answer.Releases, func(w io.Writer) {
				table(w, "WHEN\tPIPELINE\tRELEASE\tVERSION\tSTATE\tSTAGE\tBY\tID", "no releases yet: begin one with tidegate pipeline release", func(row func(...any)) {
					for _, r := range answer.Releases {
						row(ago(r.Created), r.Pipeline, fmt.Sprint("#", r.Number), r.Revision.Version, r.State, r.Current().Name, r.Who, r.ID)
					}
				})
			})
		},
	}
}

func (c *cli) pipelineRelease() *cobra.Command {
	var push httpapi.PushInput
	var file, key string
	var wait bool
	cmd := &cobra.Command{
		Use: "release PIPELINE", Short: "Release a revision, by its version or with its artifact", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			push.Who = whoAmI()
			path := "/v1/pipelines/" + url.PathEscape(args[0])
			var r pipeline.Release
			if file == "" {
				err = api.keyed(cmd.Context(), http.MethodPost, path+"/releases", key, push, &r)
			} else {
				r, err = pushFile(cmd, api, path, file, key, push)
			}
			if err != nil {
				return unknown(err, "tidegate pipeline list")
			}
			if wait {
				if r, err = waitRelease(cmd, api, r); err != nil {
					return err
				}
			}
			if err := c.show(cmd, r, func(w io.Writer) { showRelease(w, r) }); err != nil {
				return err
			}
			return releaseExit(wait, r)
		},
	}
	f := cmd.Flags()
	f.StringVar(&push.Version, "version", "", "version of the revision; needed without --artifact")
	f.StringVar(&file, "artifact", "", "file or .tar.gz that is deployed; it is sent to the server")
	f.StringVar(&push.Commit, "commit", "", "commit it was built from")
	f.StringVar(&push.Reason, "reason", "", "why; kept with the release")
	f.StringVar(&key, "key", "", "makes a repeated command harmless: the same key is the same release")
	f.BoolVar(&wait, "wait", false, "wait for the end; the exit code says how it ended")
	return cmd
}

// pushFile sends the artifact as it is.
func pushFile(cmd *cobra.Command, api *client, path, file, key string, push httpapi.PushInput) (r pipeline.Release, err error) {
	f, err := os.Open(file)
	if err != nil {
		return r, err
	}
	defer f.Close()
	q := url.Values{"who": {push.Who}, "version": {push.Version}, "commit": {push.Commit}, "reason": {push.Reason}}
	path += "/artifacts/" + url.PathEscape(filepath.Base(file)) + "?" + q.Encode()
	return r, api.keyed(cmd.Context(), http.MethodPut, path, key, io.Reader(f), &r)
}

// waitRelease polls until nothing more happens by itself.
func waitRelease(cmd *cobra.Command, api *client, r pipeline.Release) (pipeline.Release, error) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	said := ""
	for !r.State.Finished() {
		if now := strings.TrimSpace(r.Current().Name + " " + r.Waiting); now != said {
			said = now
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", r.State, now)
		}
		select {
		case <-cmd.Context().Done():
			return r, cmd.Context().Err()
		case <-tick.C:
		}
		var err error
		if r, err = get[pipeline.Release](cmd.Context(), api, "/v1/releases/"+url.PathEscape(r.ID), nil); err != nil {
			return r, err
		}
	}
	return r, nil
}

// releaseExit is success for a release that arrived, or is under way.
func releaseExit(waited bool, r pipeline.Release) error {
	if !waited || r.State == pipeline.StateSucceeded {
		return nil
	}
	return exit(exitFail)
}

func (c *cli) pipelineShow() *cobra.Command {
	return &cobra.Command{
		Use: "show RELEASE", Short: "Show a release with its stages, verdicts and decisions", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			r, err := get[pipeline.Release](cmd.Context(), api, "/v1/releases/"+url.PathEscape(args[0]), nil)
			if err != nil {
				return unknown(err, "tidegate pipeline releases")
			}
			return c.show(cmd, r, func(w io.Writer) { showRelease(w, r) })
		},
	}
}

func showRelease(w io.Writer, r pipeline.Release) {
	fmt.Fprintf(w, "%s #%d, version %s: %s (%s)\n", r.Pipeline, r.Number, r.Revision.Version, r.State, r.ID)
	if text := firstOf(r.Error, r.Waiting); text != "" {
		fmt.Fprintln(w, text)
	}
	if d := r.Changes; d != nil {
		fmt.Fprintf(w, "changes since #%d: %s → %s", d.Release, d.From, d.To)
		if d.Files != nil {
			fmt.Fprintf(w, ", files: %d changed, %d added, %d removed", d.Files.ChangedCount, d.Files.AddedCount, d.Files.RemovedCount)
		}
		if d.Definition {
			fmt.Fprint(w, ", the pipeline itself")
		}
		fmt.Fprintln(w)
		for _, commit := range d.Commits {
			fmt.Fprintln(w, "  "+commit)
		}
	}
	for _, s := range r.Stages {
		fmt.Fprintf(w, "\n%s (%s): %s", s.Name, s.Environment, s.State)
		if s.Attempt > 1 {
			fmt.Fprintf(w, ", attempt %d", s.Attempt)
		}
		fmt.Fprintln(w)
		table(w, "ACTION\tSTATE\tTOOK\tOUTCOME", "no actions", func(row func(...any)) {
			for _, a := range s.Actions {
				took := "-"
				if !a.Finished.IsZero() && !a.Started.IsZero() {
					took = duration(a.Finished.Sub(a.Started))
				}
				row(a.Name, a.State, took, dash(firstOf(a.Error, a.Message)))
			}
		})
		for _, a := range s.Actions {
			if a.Output != "" && (a.State == pipeline.StateFailed || a.Kind == pipeline.KindCommand) {
				fmt.Fprintf(w, "%s said:\n  %s\n", a.Name, strings.ReplaceAll(strings.TrimSpace(a.Output), "\n", "\n  "))
			}
		}
		for _, u := range s.Rollbacks {
			fmt.Fprintf(w, "rolled back: %s %s → %s %s\n", u.App, u.From, dash(u.To), u.Error)
		}
	}
}

// stageVerb makes a command that says something to a stage of a release.
func (c *cli) stageVerb(verb, short string) *cobra.Command {
	var in httpapi.DecisionInput
	cmd := &cobra.Command{
		Use: verb + " RELEASE STAGE", Short: short, Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			if in.Who == "" {
				in.Who = whoAmI()
			}
			r, err := post[pipeline.Release](cmd.Context(), api,
				"/v1/releases/"+url.PathEscape(args[0])+"/stages/"+url.PathEscape(args[1])+"/"+verb, in)
			if err != nil {
				return unknown(err, "tidegate pipeline releases")
			}
			return c.show(cmd, r, func(w io.Writer) { showRelease(w, r) })
		},
	}
	cmd.Flags().StringVar(&in.Who, "who", "", "who decides; default you")
	cmd.Flags().StringVar(&in.Reason, "reason", "", "why; kept with the release")
	if verb != "retry" {
		cmd.Flags().StringVar(&in.Action, "action", "", "the approval, where several wait")
	}
	return cmd
}

func (c *cli) pipelineRerun() *cobra.Command {
	in := httpapi.DecisionInput{}
	cmd := &cobra.Command{
		Use: "rerun RELEASE", Short: "Release the same revision once more", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			in.Who = whoAmI()
			r, err := post[pipeline.Release](cmd.Context(), api, "/v1/releases/"+url.PathEscape(args[0])+"/rerun", in)
			if err != nil {
				return unknown(err, "tidegate pipeline releases")
			}
			return c.show(cmd, r, func(w io.Writer) { showRelease(w, r) })
		},
	}
	cmd.Flags().StringVar(&in.Reason, "reason", "", "why; kept with the release")
	return cmd
}

func (c *cli) pipelineDeployments() *cobra.Command {
	var app, environment string
	cmd := &cobra.Command{
		Use: "deployments", Short: "List deployments, newest first, with what was judged of them", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			answer, err := get[httpapi.DeploymentList](cmd.Context(), api, "/v1/deployments", url.Values{"app": {app}, "environment": {environment}})
			if err != nil {
				return err
			}
			return c.show(cmd, answer.Deployments, func(w io.Writer) {
				table(w, "WHEN\tWHERE\tVERSION\tBEFORE\tSTATE\tJUDGED\tBY\tADDRESS", "no deployments yet: they are made by releases", func(row func(...any)) {
					for _, d := range answer.Deployments {
						row(ago(d.Started), d.Target, d.Revision.Version, dash(d.From), d.State, d.Verdict, d.Who, dash(d.Address))
					}
				})
			})
		},
	}
	cmd.Flags().StringVar(&app, "app", "", "only of this app")
	cmd.Flags().StringVar(&environment, "environment", "", "only in this environment")
	return cmd
}

func (c *cli) pipelineRollback() *cobra.Command {
	in, key := httpapi.RollbackInput{}, ""
	cmd := &cobra.Command{
		Use: "rollback APP ENVIRONMENT", Short: "Have the last good revision run again", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			in.Who = whoAmI()
			if key == "" {
				key = fmt.Sprintf("%s-%d", in.Who, time.Now().UnixNano())
			}
			var d pipeline.Deployment
			t := deploy.Target{App: args[0], Environment: args[1]}
			err = api.keyed(cmd.Context(), http.MethodPost, "/v1/deployments/"+url.PathEscape(t.App)+"/"+url.PathEscape(t.Environment)+"/rollback", key, in, &d)
			if err != nil {
				return unknown(err, "tidegate pipeline deployments")
			}
			return c.show(cmd, d, func(w io.Writer) {
				fmt.Fprintf(w, "%s: version %s runs, before %s\n", d.Target, d.Revision.Version, dash(d.From))
			})
		},
	}
	cmd.Flags().StringVar(&in.To, "to", "", "version; default the last that was judged good")
	cmd.Flags().StringVar(&in.Reason, "reason", "", "why; kept with the deployment")
	cmd.Flags().StringVar(&key, "key", "", "makes a repeated command harmless")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}
