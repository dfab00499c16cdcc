package main

import (
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/tidegate-io/tidegate/healing"
	"github.com/tidegate-io/tidegate/internal/httpapi"
)

func (c *cli) healingCommand() *cobra.Command {
	return parent(&cobra.Command{Use: "healing", Short: "What is done about problems by itself, and the switch that stops it"},
		c.healingStatus(), c.healingSwitch("stop", "Stop all healing at once, in every process, until it is started again"),
		c.healingSwitch("start", "Let healing act again"),
		c.healingList(), c.healingShow(), c.healingOptions(), c.healingRemediate(),
		c.healingDecide("approve", "Let an action happen that waits for approval"),
		c.healingDecide("reject", "Refuse an action that waits for approval, and look after the problem yourself"),
		c.healingAudit())
}

func (c *cli) healingStatus() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show the switch, the remediations in force, and what was done lately", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			s, err := get[healing.Status](cmd.Context(), api, "/v1/healing", nil)
			if err != nil {
				return err
			}
			return c.show(cmd, s, func(w io.Writer) {
				fmt.Fprintln(w, switchText(s.Stop))
				for _, state := range []healing.State{healing.StateWaiting, healing.StateActing, healing.StateVerifying} {
					if n := s.Unfinished[state]; n > 0 {
						fmt.Fprintf(w, "%d %s\n", n, state)
					}
				}
				for _, o := range outcomes(s.LastDay) {
					fmt.Fprintf(w, "%d %s within a day\n", s.LastDay[o], o)
				}
				fmt.Fprintln(w)
				table(w, "REMEDIATION\tAPPROVAL\tATTEMPTS\tCOOL-DOWN\tPER HOUR\tDRY RUN", "no remediations yet: define one with tidegate apply -f FILE", func(row func(...any)) {
					for _, r := range s.Remediations {
						row(r.Name, r.Policy.Approval, len(r.Attempts), duration(r.Policy.CoolDown), r.Policy.PerHour, yesNo(r.Policy.DryRun))
					}
				})
			})
		},
	}
}

func outcomes(m map[healing.Outcome]int) []healing.Outcome {
	var out []healing.Outcome
	for o := range m {
		out = append(out, o)
	}
	slices.Sort(out)
	return out
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func switchText(s healing.Stop) string {
	switch {
	case s.Stopped:
		return fmt.Sprintf("healing is STOPPED since %s by %s: %s", ago(s.Since), s.Who, s.Reason)
	case s.Who != "":
		return fmt.Sprintf("healing is on, started %s by %s: %s", ago(s.Since), s.Who, s.Reason)
	}
	return "healing is on"
}

func (c *cli) healingSwitch(verb, short string) *cobra.Command {
	var in httpapi.WhoWhy
	cmd := &cobra.Command{
		Use: verb, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			s, err := post[healing.Stop](cmd.Context(), api, "/v1/healing/"+verb, in)
			if err != nil {
				return err
			}
			return c.show(cmd, s, func(w io.Writer) { fmt.Fprintln(w, switchText(s)) })
		},
	}
	whoWhy(cmd, &in)
	return cmd
}

// whoWhy asks who does something, and why.
func whoWhy(cmd *cobra.Command, in *httpapi.WhoWhy) {
	cmd.Flags().StringVar(&in.Who, "who", whoAmI(), "who does it (TIDEGATE_WHO)")
	cmd.Flags().StringVar(&in.Reason, "reason", "", "why; it is kept in the audit")
	_ = cmd.MarkFlagRequired("reason")
}

func (c *cli) healingList() *cobra.Command {
	var problem string
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List actions, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			q := url.Values{"limit": {strconv.Itoa(limit)}}
			if problem != "" {
				q.Set("problem", problem)
			}
			answer, err := get[httpapi.HealingActions](cmd.Context(), api, "/v1/healing/actions", q)
			if err != nil {
				return err
			}
			return c.show(cmd, answer.Actions, func(w io.Writer) {
				table(w, "WHEN\tPROBLEM\tACTION\tSTATE\tBY\tID", "no actions yet: nothing had to be healed", func(row func(...any)) {
					for _, a := range answer.Actions {
						row(ago(a.Created), fmt.Sprintf("P-%d", a.Number), a.Title, stateOf(a), by(a), a.ID)
					}
				})
			})
		},
	}
	cmd.Flags().StringVar(&problem, "problem", "", "only those on this problem, by id or name (P-17)")
	cmd.Flags().IntVar(&limit, "limit", 50, "how many at most")
	return cmd
}

func stateOf(a healing.Action) string {
	if a.State == healing.StateEnded {
		return string(a.Outcome)
	}
	return string(a.State)
}

func by(a healing.Action) string {
	if a.ApprovedBy != "" && a.ApprovedBy != a.By {
		return a.By + ", " + a.ApprovedBy
	}
	return a.By
}

func (c *cli) healingShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ACTION", Short: "Show an action with everything that was recorded of it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			d, err := get[httpapi.HealingActionDetail](cmd.Context(), api, "/v1/healing/actions/"+url.PathEscape(args[0]), nil)
			if err != nil {
				return unknown(err, "tidegate healing list")
			}
			return c.show(cmd, d, func(w io.Writer) {
				fmt.Fprintf(w, "P-%d %s: %s\n", d.Action.Number, d.Action.Title, stateOf(d.Action))
				if d.Action.Reason != "" {
					fmt.Fprintln(w, d.Action.Reason)
				}
				for _, o := range d.Action.Objections {
					fmt.Fprintf(w, "  objection %s: %s\n", o.Rule, o.Reason)
				}
				fmt.Fprintln(w)
				auditTable(w, d.Audit)
			})
		},
	}
}

func auditTable(w io.Writer, entries []healing.Entry) {
	table(w, "WHEN\tWHO\tWHAT\tTEXT", "nothing was recorded yet", func(row func(...any)) {
		for _, e := range entries {
			row(ago(e.Time), e.Who, e.What, clip(e.Text, 300))
		}
	})
}

func (c *cli) healingOptions() *cobra.Command {
	return &cobra.Command{
		Use: "options PROBLEM", Short: "List what can be done about a problem, and what the safety rules have against it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			answer, err := get[httpapi.HealingOptions](cmd.Context(), api, "/v1/problems/"+url.PathEscape(args[0])+"/remedies", nil)
			if err != nil {
				return err
			}
			return c.show(cmd, answer.Options, func(w io.Writer) {
				table(w, "ACTION\tWHAT\tSUGGESTED\tOBJECTION", "nothing can be done about it by itself", func(row func(...any)) {
					for _, o := range answer.Options {
						objection := "-"
						if len(o.Objections) > 0 {
							objection = o.Objections[0].Reason
						}
						row(o.Action, o.Title, yesNo(o.Suggested), clip(objection, 100))
					}
				})
			})
		},
	}
}

func (c *cli) healingRemediate() *cobra.Command {
	var in httpapi.RemediateInput
	cmd := &cobra.Command{
		Use: "remediate PROBLEM ACTION", Short: "Start an action on a problem by hand", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			in.Action = args[1]
			a, err := post[healing.Action](cmd.Context(), api, "/v1/problems/"+url.PathEscape(args[0])+"/remediate", in)
			if err != nil {
				return err
			}
			return c.show(cmd, a, func(w io.Writer) { fmt.Fprintf(w, "%s: see tidegate healing show %s\n", a.Title, a.ID) })
		},
	}
	whoWhy(cmd, &in.WhoWhy)
	cmd.Flags().BoolVar(&in.Override, "override", false, "against the objections of safety rules; never against the switch")
	return cmd
}

func (c *cli) healingDecide(verb, short string) *cobra.Command {
	var in httpapi.WhoWhy
	cmd := &cobra.Command{
		Use: verb + " ACTION", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			a, err := post[healing.Action](cmd.Context(), api, "/v1/healing/actions/"+url.PathEscape(args[0])+"/"+verb, in)
			if err != nil {
				return unknown(err, "tidegate healing list")
			}
			return c.show(cmd, a, func(w io.Writer) { fmt.Fprintf(w, "%s: %s\n", a.Title, stateOf(a)) })
		},
	}
	whoWhy(cmd, &in)
	return cmd
}

func (c *cli) healingAudit() *cobra.Command {
	var action, problem string
	var limit int
	cmd := &cobra.Command{
		Use: "audit", Short: "List everything that healing did and that people decided about it, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			q := url.Values{"limit": {strconv.Itoa(limit)}, "action": {action}, "problem": {problem}}
			answer, err := get[httpapi.HealingAudit](cmd.Context(), api, "/v1/healing/audit", q)
			if err != nil {
				return err
			}
			return c.show(cmd, answer.Entries, func(w io.Writer) { auditTable(w, answer.Entries) })
		},
	}
	cmd.Flags().StringVar(&action, "action", "", "only of the action with this id")
	cmd.Flags().StringVar(&problem, "problem", "", "only about this problem, by id or name (P-17)")
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most")
	return cmd
}
