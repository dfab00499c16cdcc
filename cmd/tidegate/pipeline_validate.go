package main

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate-io/tidegate/delivery/signature"
	"github.com/tidegate-io/tidegate/delivery/validation"
	"github.com/tidegate-io/tidegate/internal/httpapi"
)

// pipelineComparisons are the commands about comparisons of environments.
func (c *cli) pipelineComparisons() []*cobra.Command {
	return []*cobra.Command{c.pipelineValidate(), c.pipelineValidations(), c.pipelineReport(), c.pipelineMonspec()}
}

func (c *cli) pipelineValidate() *cobra.Command {
	var in httpapi.ComparisonInput
	var from, last span
	var monspec string
	wait := true
	cmd := &cobra.Command{
		Use: "validate --comparison NAME (--in 5m | --last 5m)", Short: "Compare environments, now or when a window has passed", Args: cobra.NoArgs,
		Long: `Registers a comparison of two environments, or of one with its past, and waits
for the answer. It is stored: the server judges it when its time has come, also
when this command or the server has been restarted since.

Exit code: 0 ok, 1 violation, 2 inconclusive, 3 error.`,
		Example: `  tidegate pipeline validate --comparison StagingToProduction --in 5m --pipeline shop --build 17
  tidegate pipeline validate --monspec monspec.json --comparison ProductionToProductionLastHour --last 10m`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			if monspec != "" {
				text, err := readMonspec(monspec)
				if err != nil {
					return err
				}
				in.Monspec = string(text)
			}
			if from != 0 {
				in.In = time.Duration(from).String()
			}
			if last != 0 {
				in.Last = time.Duration(last).String()
			}
			in.Who = whoAmI()
			v, err := post[validation.Validation](cmd.Context(), api, "/v1/comparison-validations", in)
			if err != nil {
				return err
			}
			for wait && !v.Status.Final() {
				if onTerminal() {
					fmt.Fprintln(cmd.ErrOrStderr(), v.Summary)
				}
				q := url.Values{"wait": {"true"}}
				if v, err = get[validation.Validation](cmd.Context(), api, "/v1/comparison-validations/"+url.PathEscape(v.ID), q); err != nil {
					return err
				}
			}
			if err := c.show(cmd, v, func(w io.Writer) { showComparison(w, v) }); err != nil {
				return err
			}
			return comparisonExit(v.Status)
		},
	}
	f := cmd.Flags()
	f.StringVar(&in.Comparison, "comparison", "", "name of the comparison")
	f.Var(&from, "in", "judge the time from now on, for example 5m")
	f.Var(&last, "last", "judge the time just passed, for example 5m")
	f.StringVar(&in.Pipeline, "pipeline", "", "pipeline it belongs to; the report is by pipeline")
	f.StringVar(&in.Build, "build", "", "build that is judged")
	f.StringVar(&in.Stage, "stage", "", "stage of the pipeline")
	f.StringVar(&in.Signature, "signature", "", "only this performance signature")
	f.StringVar(&in.Mode, "mode", "", "point or confidence, instead of the comparison's")
	f.StringVar(&in.Service, "service", "", "only this service")
	f.StringVar(&in.Version, "service-version", "", "only this version of what is judged")
	f.StringVar(&in.Environment, "environment", "", "where the build was deployed")
	f.StringVar(&in.Key, "key", "", "makes a repeated request harmless")
	f.StringVar(&monspec, "monspec", "", "a monspec.json, instead of the signatures the server has")
	f.BoolVar(&wait, "wait", true, "wait for the answer; without it the exit code is 0")
	_ = cmd.MarkFlagRequired("comparison")
	cmd.MarkFlagsOneRequired("in", "last")
	cmd.MarkFlagsMutuallyExclusive("in", "last")
	return cmd
}

// readMonspec reads a file and checks it here, where its name is known.
func readMonspec(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	_, err = signature.ParseMonspec(path, text)
	return text, err
}

// comparisonExit is the exit code of a comparison.
func comparisonExit(s validation.Status) error {
	switch s {
	case validation.StatusViolation:
		return exit(exitFail)
	case validation.StatusInconclusive:
		return exit(exitInconclusive)
	case validation.StatusError:
		return exit(exitError)
	}
	return nil // ok, or not waited for
}

func showComparison(w io.Writer, v validation.Validation) {
	fmt.Fprintf(w, "%s %s: %s\n", v.Comparison, v.Status, v.Summary)
	if len(v.Results) == 0 {
		fmt.Fprintln(w, "id "+v.ID)
		return
	}
	table(w, "METRIC\tSOURCE\tCOMPARED\tALLOWED\tSTATUS\tNOTE", "", func(row func(...any)) {
		for _, r := range v.Results {
			note := r.Warning
			if r.Status != signature.StatusOK {
				note = r.Why
			}
			row(r.Name, signature.Say(float64(r.Source), r.Unit), signature.Say(float64(r.Compare), r.Unit), allowed(r), r.Status, dash(note))
		}
	})
	fmt.Fprintln(w, "id "+v.ID)
}

// allowed is what the limits of a result leave.
func allowed(r signature.Result) string {
	switch low, high := signature.Say(float64(r.Lower), r.Unit), signature.Say(float64(r.Upper), r.Unit); {
	case r.Lower.IsNaN() && r.Upper.IsNaN():
		return "-"
	case r.Lower.IsNaN():
		return "≤ " + high
	case r.Upper.IsNaN():
		return "≥ " + low
	default:
		return low + " to " + high
	}
}

func (c *cli) pipelineValidations() *cobra.Command {
	var pipeline, comparison, status string
	cmd := &cobra.Command{
		Use: "validations", Short: "List registered comparisons, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			q := url.Values{}
			for k, v := range map[string]string{"pipeline": pipeline, "comparison": comparison, "status": status} {
				if v != "" {
					q.Set(k, v)
				}
			}
			answer, err := get[httpapi.ComparisonList](cmd.Context(), api, "/v1/comparison-validations", q)
			if err != nil {
				return err
			}
			return c.show(cmd, answer.Validations, func(w io.Writer) {
				table(w, "WHEN\tPIPELINE\tBUILD\tCOMPARISON\tSTATUS\tSUMMARY\tID", "no comparison was registered yet: tidegate pipeline validate", func(row func(...any)) {
					for _, v := range answer.Validations {
						row(ago(v.Created), dash(v.Pipeline), dash(v.Build), v.Comparison, v.Status, v.Summary, v.ID)
					}
				})
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&pipeline, "pipeline", "", "only of this pipeline")
	f.StringVar(&comparison, "comparison", "", "only this comparison")
	f.StringVar(&status, "status", "", "waiting, running, ok, violation, inconclusive or error")
	return cmd
}

func (c *cli) pipelineReport() *cobra.Command {
	var pipeline, comparison, format string
	builds := 50
	cmd := &cobra.Command{
		Use: "report --pipeline NAME --comparison NAME", Short: "Every metric over all builds, as HTML, CSV or JSON", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			q := url.Values{"pipeline": {pipeline}, "comparison": {comparison}, "builds": {fmt.Sprint(builds)}}
			var data []byte
			if err := api.do(cmd.Context(), "GET", "/v1/build-report/"+url.PathEscape(format)+"?"+q.Encode(), nil, &data); err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(data)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&pipeline, "pipeline", "", "pipeline; all of them when left out")
	f.StringVar(&comparison, "comparison", "", "comparison")
	f.StringVar(&format, "format", "html", "html, csv or json")
	f.IntVar(&builds, "builds", builds, "how many of the latest builds")
	_ = cmd.MarkFlagRequired("comparison")
	return cmd
}

func (c *cli) pipelineMonspec() *cobra.Command {
	return &cobra.Command{
		Use: "monspec FILE", Short: "Check a monspec.json and show what is understood of it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			all, err := signature.ParseMonspec(args[0], text)
			if err != nil {
				return err
			}
			return c.show(cmd, all, func(w io.Writer) {
				for _, s := range all {
					fmt.Fprintf(w, "%s\n", s.Name)
					for _, e := range s.Environments {
						fmt.Fprintf(w, "  environment %s: %s\n", e.Name, e.Selector)
					}
					for _, x := range s.Comparisons {
						fmt.Fprintf(w, "  comparison %s: %s against %s, %g %% tolerated\n", x.Name, x.Source, dash(x.Compare), x.Tolerance*100)
					}
					for _, m := range s.Metrics {
						fmt.Fprintf(w, "  metric %s (%s)\n", m.Name(), m.Validate)
					}
				}
			})
		},
	}
}
