package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidegate-io/tidegate/internal/httpapi"
	"github.com/tidegate-io/tidegate/internal/manifest"
)

func openAPICommand() *cobra.Command {
	return &cobra.Command{
		Use: "openapi", Short: "Print the OpenAPI document of the REST API", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api := httpapi.Register(http.NewServeMux(), httpapi.Config{Version: version, Stream: httpapi.NewStream(version)})
			doc, err := json.MarshalIndent(api.OpenAPI(), "", "  ")
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", doc)
			return err
		},
	}
}

// docsCommand writes the reference of the command line and the manifests'
// schemas.
func docsCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "docs DIR", Short: "Write the reference: command line and schemas", Args: cobra.ExactArgs(1), Hidden: true,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := os.MkdirAll(filepath.Join(args[0], "schemas"), 0o755); err != nil {
				return err
			}
			var b strings.Builder
			b.WriteString("# Command line\n\nWritten by `make docs` from the commands themselves.\n\n" +
				"Exit codes: 0 pass (or the command did its work), 1 fail, 2 inconclusive or still learning, 3 error.\n")
			fmt.Fprintf(&b, "\nFlags of every command:\n\n```text\n%s```\n", root.PersistentFlags().FlagUsages())
			document(&b, root)
			for _, kind := range manifest.Kinds() {
				schema, err := manifest.Schema(kind)
				if err != nil {
					return err
				}
				if err := os.WriteFile(filepath.Join(args[0], "schemas", kind+".json"), append(schema, '\n'), 0o644); err != nil {
					return err
				}
			}
			return os.WriteFile(filepath.Join(args[0], "cli.md"), []byte(b.String()), 0o644)
		},
	}
}

func document(b *strings.Builder, cmd *cobra.Command) {
	if cmd.Hidden || cmd.Name() == "help" || cmd.Name() == "completion" {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n%s\n", cmd.CommandPath(), cmd.Short)
	if cmd.Long != "" {
		fmt.Fprintf(b, "\n```text\n%s\n```\n", cmd.Long)
	}
	if cmd.Runnable() {
		fmt.Fprintf(b, "\n```sh\n%s\n```\n", cmd.UseLine())
	}
	if cmd.Example != "" {
		fmt.Fprintf(b, "\nExamples:\n\n```sh\n%s\n```\n", strings.ReplaceAll("\n"+cmd.Example, "\n  ", "\n")[1:])
	}
	if f := cmd.LocalNonPersistentFlags().FlagUsages(); f != "" {
		fmt.Fprintf(b, "\nFlags:\n\n```text\n%s```\n", f)
	}
	for _, sub := range cmd.Commands() {
		document(b, sub)
	}
}
