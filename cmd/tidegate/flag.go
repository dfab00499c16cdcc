package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sort"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/flag"
	"github.com/tidegate-io/tidegate/internal/httpapi"
)

func (c *cli) flagCommand() *cobra.Command {
	return parent(&cobra.Command{Use: "flag", Aliases: []string{"flags"}, Short: "Feature flags"},
		c.flagList(), c.flagSet(), c.flagClear(), c.flagAudit())
}

func (c *cli) flags(cmd *cobra.Command) (*client, []flag.Flag, error) {
	api, err := c.client()
	if err != nil {
		return nil, nil, err
	}
	answer, err := get[struct{ Flags []flag.Flag }](cmd.Context(), api, "/v1/flags", nil)
	return api, answer.Flags, err
}

func (c *cli) flagList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List flags with the variant in force", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			answer, err := get[httpapi.FlagList](cmd.Context(), api, "/v1/flags", nil)
			if err != nil {
				return err
			}
			for _, p := range answer.Problems {
				fmt.Fprintf(cmd.ErrOrStderr(), "refused, what was defined before stays in force: %s\n", p)
			}
			return c.show(cmd, answer.Flags, func(w io.Writer) {
				table(w, "SET\tKEY\tVARIANT\tVARIANTS\tSTATE\tAFFECTS\tCHANGED BY", "no flags yet: define some in a FlagSet, see tidegate apply --help", func(row func(...any)) {
					for _, f := range answer.Flags {
						by := "-"
						if f.Override != nil {
							by = f.Override.Who + ", " + ago(f.Override.At) + ": " + f.Override.Reason
						}
						row(f.Set, f.Key, f.DefaultVariant, strings.Join(variants(f), "|"), f.State, dash(f.Service), by)
					}
				})
			})
		},
	}
}

func variants(f flag.Flag) []string {
	var out []string
	for v := range f.Variants {
		out = append(out, v)
	}
	sort.Strings(out)
	return out
}

// find returns the only flag with the key, in the set when one is named.
func find(flags []flag.Flag, set, key string) (flag.Flag, error) {
	var found []flag.Flag
	for _, f := range flags {
		if f.Key == key && (set == "" || f.Set == set) {
			found = append(found, f)
		}
	}
	switch len(found) {
	case 0:
		return flag.Flag{}, fault.NotFound("no flag %q: see tidegate flag list", key)
	case 1:
		return found[0], nil
	}
	return flag.Flag{}, fault.Invalid("flag %q is in several sets: choose one with --set", key)
}

func (c *cli) flagSet() *cobra.Command {
	var in httpapi.FlagInput
	var set string
	cmd := &cobra.Command{
		Use:   "set KEY VARIANT",
		Short: "Change a flag at run time: audited, told as a change, with its own undo",
		Example: `  tidegate flag set paymentServiceFailure on --reason "game day"
  tidegate flag set newCheckout on --reason "launch" --on-failure off`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: c.completeFlags,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, flags, err := c.flags(cmd)
			if err != nil {
				return err
			}
			f, err := find(flags, set, args[0])
			if err != nil {
				return err
			}
			in.Variant, in.Who = args[1], firstOf(in.Who, whoAmI())
			out, err := post[httpapi.FlagChanged](cmd.Context(), api, "/v1/flags/"+url.PathEscape(f.Set)+"/"+url.PathEscape(f.Key), in)
			if err != nil {
				return err
			}
			return c.show(cmd, out, func(w io.Writer) {
				if out.Event == nil {
					fmt.Fprintf(w, "%s/%s: nothing to change, it is %s already\n", f.Set, f.Key, out.Flag.DefaultVariant)
					return
				}
				if o := out.Flag.Override; o != nil && o.Share != nil {
					fmt.Fprintf(w, "%s/%s: %s for %g %% of the callers, %s for the others\n", f.Set, f.Key, o.Share.Variant, o.Share.Percent, o.Variant)
				} else {
					fmt.Fprintf(w, "%s/%s: %s → %s\n", f.Set, f.Key, f.DefaultVariant, out.Flag.DefaultVariant)
				}
				if out.Event.Undo != nil {
					u := out.Event.Undo
					fmt.Fprintf(w, "undo sets it to %s: tidegate event undo %s --reason …\n", u.Variant, out.Event.ID)
				}
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&in.Reason, "reason", "", "why; kept in the audit")
	f.Float64Var(&in.Percent, "percent", 0, "give it to this share of the callers only, by their targeting key")
	f.StringVar(&in.OnFailure, "on-failure", "", "variant to go back to when a validation fails; default: the one before")
	f.StringVar(&in.Who, "who", "", "who changes it; default: you")
	f.StringVar(&set, "set", "", "flag set, when several have the key")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

func (c *cli) flagClear() *cobra.Command {
	var set, reason string
	cmd := &cobra.Command{
		Use: "clear KEY", Short: "Drop the runtime change: the flag's source decides again",
		Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeFlags,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, flags, err := c.flags(cmd)
			if err != nil {
				return err
			}
			f, err := find(flags, set, args[0])
			if err != nil {
				return err
			}
			var out httpapi.FlagChanged
			q := url.Values{"who": {whoAmI()}, "reason": {reason}}
			err = api.do(cmd.Context(), http.MethodDelete, "/v1/flags/"+url.PathEscape(f.Set)+"/"+url.PathEscape(f.Key)+"/override?"+q.Encode(), nil, &out)
			if err != nil {
				return err
			}
			return c.show(cmd, out, func(w io.Writer) {
				if out.Event == nil {
					fmt.Fprintf(w, "%s/%s: nothing to drop, its source says %s\n", f.Set, f.Key, out.Flag.DefaultVariant)
					return
				}
				fmt.Fprintf(w, "%s/%s: %s → %s (from its source)\n", f.Set, f.Key, f.DefaultVariant, out.Flag.DefaultVariant)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; kept in the audit")
	cmd.Flags().StringVar(&set, "set", "", "flag set, when several have the key")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

func (c *cli) flagAudit() *cobra.Command {
	return &cobra.Command{
		Use: "audit [KEY]", Short: "Who changed which flag, when and why", Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeFlags,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			q := url.Values{}
			if len(args) > 0 {
				q.Set("key", args[0])
			}
			answer, err := get[struct{ Audit []flag.Audit }](cmd.Context(), api, "/v1/flag-audit", q)
			if err != nil {
				return err
			}
			return c.show(cmd, answer.Audit, func(w io.Writer) {
				table(w, "WHEN\tFLAG\tFROM\tTO\tWHO\tWHAT\tREASON", "no flag was changed", func(row func(...any)) {
					for _, a := range answer.Audit {
						row(ago(a.At), a.Set+"/"+a.Key, dash(a.From), dash(a.To), dash(a.Who), a.What, firstOf(a.Reason, a.Note))
					}
				})
			})
		},
	}
}

func (c *cli) completeFlags(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	_, flags, err := c.flags(cmd)
	if err != nil || len(args) > 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for _, f := range flags {
		if len(args) == 0 {
			out = append(out, f.Key)
		} else if f.Key == args[0] {
			out = append(out, variants(f)...)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

func firstOf(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}
