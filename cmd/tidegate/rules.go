package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidegate-io/tidegate/internal/httpapi"
)

func (c *cli) rulesCommand() *cobra.Command {
	return parent(&cobra.Command{Use: "rules", Short: "Tags and names that entities get from their attributes"}, c.rulesPreview())
}

func (c *cli) rulesPreview() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "preview", Short: "Show what rules match now", Args: cobra.NoArgs,
		Long: `Shows which of the entities seen get which tag and name: by the EntityRules of
a file before it is applied, or by those in force.`,
		Example: `  tidegate rules preview -f rules.yaml`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			answer, err := previewRules(cmd.Context(), api, file)
			if err != nil {
				return err
			}
			return c.show(cmd, answer.Matches, func(w io.Writer) {
				table(w, "RULE\tENTITY\tENVIRONMENT\tVERSION\tGIVES", "no rule matches an entity that was seen: see tidegate entities", func(row func(...any)) {
					for _, m := range answer.Matches {
						gives := "name " + m.Effect.Name
						if m.Effect.Key != "" {
							gives = strings.TrimSuffix("tag "+m.Effect.Key+":"+m.Effect.Value, ":")
						}
						row(m.Set+" "+m.Effect.Rule, m.Entity.ID, dash(m.Entity.Environment), dash(m.Entity.Version), gives)
					}
				})
			})
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "file with EntityRules; those in force when left out")
	return cmd
}

// previewRules asks about the rules of a file, or about those in force.
func previewRules(ctx context.Context, api *client, file string) (httpapi.RulePreviewList, error) {
	if file == "" {
		return get[httpapi.RulePreviewList](ctx, api, "/v1/entity-rules/preview", nil)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return httpapi.RulePreviewList{}, err
	}
	return post[httpapi.RulePreviewList](ctx, api, "/v1/entity-rules/preview", text)
}

func (c *cli) entitiesCommand() *cobra.Command {
	return &cobra.Command{
		Use: "entities [SELECTOR]", Short: "Services, processes and hosts seen, with their tags", Args: cobra.MaximumNArgs(1),
		Example: `  tidegate entities 'tag("DeploymentGroup:Staging")'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			q := url.Values{}
			if len(args) > 0 {
				q.Set("selector", args[0])
			}
			answer, err := get[httpapi.EntityList](cmd.Context(), api, "/v1/entities", q)
			if err != nil {
				return err
			}
			return c.show(cmd, answer.Entities, func(w io.Writer) {
				table(w, "ID\tNAME\tENVIRONMENT\tVERSION\tTAGS", "no such entity was seen", func(row func(...any)) {
					for _, e := range answer.Entities {
						row(e.ID, e.DisplayName(), dash(e.Environment), dash(e.Version), fmt.Sprint(len(e.Tags)))
					}
				})
			})
		},
	}
}
