package main

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidegate-io/tidegate/internal/httpapi"
	"github.com/tidegate-io/tidegate/internal/manifest"
)

func (c *cli) applyCommand() *cobra.Command {
	var paths []string
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "apply -f FILE|DIR",
		Short: "Put manifests into force",
		Example: `  tidegate apply -f guardian.yaml
  tidegate apply -f config/ --dry-run
  cat guardian.yaml | tidegate apply -f -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			files, err := manifestFiles(paths, cmd.InOrStdin())
			if err != nil {
				return err
			}
			var all []httpapi.Applied
			for _, f := range files {
				var answer struct {
					Applied []httpapi.Applied `json:"applied"`
				}
				q := url.Values{"source": {f.name}}
				if dryRun {
					q.Set("dryRun", "true")
				}
				if err := api.do(cmd.Context(), http.MethodPost, "/v1/manifests?"+q.Encode(), f.data, &answer); err != nil {
					return fmt.Errorf("%s: %w", f.name, err)
				}
				all = append(all, answer.Applied...)
			}
			return c.show(cmd, all, func(w io.Writer) {
				for _, a := range all {
					note := ""
					if dryRun {
						note = " (dry run)"
					}
					fmt.Fprintf(w, "%s/%s %s%s\n", a.Kind, a.Name, a.Action, note)
				}
			})
		},
	}
	cmd.Flags().StringArrayVarP(&paths, "filename", "f", nil, "file, directory, or - for standard input; may be repeated")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only check")
	_ = cmd.MarkFlagRequired("filename")
	return cmd
}

type manifestFile struct {
	name string
	data []byte
}

// manifestFiles reads the files; files that manifests refer to are put in.
func manifestFiles(paths []string, stdin io.Reader) ([]manifestFile, error) {
	var out []manifestFile
	add := func(name, dir string, data []byte) error {
		data, err := manifest.Inline(data, os.DirFS(dir))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, manifestFile{name, data})
		return nil
	}
	for _, p := range paths {
		if p == "-" {
			data, err := io.ReadAll(stdin)
			if err != nil {
				return nil, err
			}
			if err := add("stdin", ".", data); err != nil {
				return nil, err
			}
			continue
		}
		err := filepath.WalkDir(p, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || (path != p && !strings.HasSuffix(path, ".yaml") && !strings.HasSuffix(path, ".yml")) {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return add(path, filepath.Dir(path), data)
		})
		if err != nil {
			return nil, err
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no .yaml files in %s", strings.Join(paths, ", "))
	}
	return out, nil
}

func (c *cli) deleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "delete KIND NAME",
		Short:             "Take a manifest out of force; its history stays",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: completeKinds,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			if err := api.do(cmd.Context(), http.MethodDelete, "/v1/manifests/"+url.PathEscape(args[0])+"/"+url.PathEscape(args[1]), nil, nil); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s/%s deleted\n", args[0], args[1])
			return nil
		},
	}
}

func (c *cli) manifestsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "manifests",
		Short: "List the manifests in force",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			answer, err := get[struct {
				Manifests []httpapi.ManifestItem `json:"manifests"`
			}](cmd.Context(), api, "/v1/manifests", nil)
			if err != nil {
				return err
			}
			return c.show(cmd, answer.Manifests, func(w io.Writer) {
				table(w, "KIND\tNAME\tSOURCE", func(row func(...any)) {
					for _, m := range answer.Manifests {
						row(m.Kind, m.Name, m.Source)
					}
				})
			})
		},
	}
}

func completeKinds(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return manifest.Kinds(), cobra.ShellCompDirectiveNoFileComp
}

func schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "schema KIND",
		Short:             "Print the JSON Schema of a manifest kind",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeKinds,
		RunE: func(cmd *cobra.Command, args []string) error {
			doc, err := manifest.Schema(args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", doc)
			return err
		},
	}
}
