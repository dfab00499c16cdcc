package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidegate-io/tidegate/fault"
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
			applied, refused := applyFiles(cmd.Context(), api, files, dryRun)
			return errors.Join(c.show(cmd, applied, func(w io.Writer) {
				for _, a := range applied {
					note := ""
					if dryRun {
						note = " (dry run)"
					}
					fmt.Fprintf(w, "%s/%s %s%s\n", a.Kind, a.Name, a.Action, note)
				}
			}), refused)
		},
	}
	cmd.Flags().StringArrayVarP(&paths, "filename", "f", nil, "file, directory (its .yaml and .yml files), or - for standard input; may be repeated")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only check")
	_ = cmd.MarkFlagRequired("filename")
	return cmd
}

// applyFiles applies each file as a whole. A file may refer to what a later one
// defines: it is tried again as long as others get through. The error joins
// what was wrong with the files that were refused.
func applyFiles(ctx context.Context, api *client, files []manifestFile, dryRun bool) (applied []httpapi.Applied, refused error) {
	applied = []httpapi.Applied{}
	for len(files) > 0 {
		var again []manifestFile
		refused = nil
		for _, f := range files {
			answer, err := post[httpapi.AppliedList](ctx, api, "/v1/manifests?"+url.Values{"source": {f.name}, "dryRun": {strconv.FormatBool(dryRun)}}.Encode(), f.data)
			if fault.Is(err, fault.KindUnavailable) {
				return applied, err
			}
			if err != nil {
				if !strings.HasPrefix(err.Error(), f.name+":") {
					err = fmt.Errorf("%s: %w", f.name, err)
				}
				again, refused = append(again, f), errors.Join(refused, err)
			}
			applied = append(applied, answer.Applied...)
		}
		if len(again) == len(files) {
			return applied, refused
		}
		files = again
	}
	return applied, nil
}

type manifestFile struct {
	name string
	data []byte
}

// manifestFiles reads the files; files that manifests refer to are put in.
func manifestFiles(paths []string, stdin io.Reader) ([]manifestFile, error) {
	var out []manifestFile
	add := func(name, dir string, data []byte) error {
		if len(bytes.TrimSpace(data)) == 0 {
			return fmt.Errorf("%s: the file is empty", name)
		}
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
		if _, err := os.Stat(p); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: no such file or directory", p)
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
			kind, err := manifest.Kind(args[0])
			if err != nil {
				return err
			}
			api, err := c.client()
			if err != nil {
				return err
			}
			if err := api.do(cmd.Context(), http.MethodDelete, "/v1/manifests/"+kind+"/"+url.PathEscape(args[1]), nil, nil); err != nil {
				return unknown(err, "tidegate manifests")
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s/%s deleted\n", kind, args[1])
			return nil
		},
	}
}

func (c *cli) manifestsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "manifests [KIND NAME]",
		Short: "List the manifests in force, or print one",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 0 && len(args) != 2 {
				return fmt.Errorf("expected a kind and a name, or neither")
			}
			return nil
		},
		ValidArgsFunction: completeKinds,
		RunE: func(cmd *cobra.Command, args []string) error {
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
			if len(args) == 2 {
				return c.showManifest(cmd, answer.Manifests, args[0], args[1])
			}
			return c.show(cmd, answer.Manifests, func(w io.Writer) {
				table(w, "KIND\tNAME\tSOURCE", "no manifests are in force: apply some with tidegate apply -f FILE", func(row func(...any)) {
					for _, m := range answer.Manifests {
						row(m.Kind, m.Name, m.Source)
					}
				})
			})
		},
	}
}

// showManifest prints the manifest as it was written.
func (c *cli) showManifest(cmd *cobra.Command, all []httpapi.ManifestItem, word, name string) error {
	kind, err := manifest.Kind(word)
	if err != nil {
		return err
	}
	for _, m := range all {
		if m.Kind == kind && m.Name == name {
			return c.show(cmd, m, func(w io.Writer) { fmt.Fprintf(w, "# from %s\n%s", m.Source, m.YAML) })
		}
	}
	return unknown(fault.NotFound("no %s %q", kind, name), "tidegate manifests")
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
			kind, err := manifest.Kind(args[0])
			if err != nil {
				return err
			}
			doc, err := manifest.Schema(kind)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", doc)
			return err
		},
	}
}
