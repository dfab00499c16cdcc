package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/tidegate-io/tidegate/demo/scenario"
	"github.com/tidegate-io/tidegate/demo/shop"
)

func demoCommand() *cobra.Command {
	return parent(&cobra.Command{Use: "demo", Short: "Watch the whole story on this machine"}, releaseValidationCommand(), shopCommand())
}

func releaseValidationCommand() *cobra.Command {
	var cfg scenario.Config
	var file string
	cmd := &cobra.Command{
		Use:   scenario.Name,
		Short: "From a flag flip to a no-go with evidence and a rollback",
		Long: `Starts a server and a shop of eight services on free ports of this machine,
trains a guardian with load tests, turns on a flag that breaks payments, and
shows the verdict, its evidence and the rollback. Every number comes from real
requests between real processes.

Without --exit everything stays up, to look around; Ctrl-C ends it. With --exit
the exit code is 0 only if the story came out as told.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg.Out = cmd.OutOrStdout()
			res, err := scenario.Run(cmd.Context(), cfg)
			if file != "" {
				if werr := writeJSON(file, res); werr != nil {
					err = errors.Join(err, werr)
				}
			}
			if errors.Is(err, scenario.ErrStory) {
				fmt.Fprintln(cmd.ErrOrStderr(), "tidegate: "+err.Error())
				return exit(exitFail)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.BoolVar(&cfg.Exit, "exit", false, "end after the story")
	f.StringVar(&file, "json", "", "file to write the outcome to")
	f.StringVar(&cfg.Dir, "dir", "", "directory for data, logs and the report; default a temporary one")
	f.StringVar(&cfg.Listen, "listen", "", "address of the UI; default 127.0.0.1:7070 when it is free")
	return cmd
}

func writeJSON(file string, v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(raw, '\n'), 0o644)
}

// shopCommand runs one service of the demo's shop; the scenario starts them.
func shopCommand() *cobra.Command {
	return &cobra.Command{
		Use: "shop SERVICE [flags]", Short: "Run one service of the demo's shop", Hidden: true,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return shop.Main(cmd.Context(), args, cmd.ErrOrStderr())
		},
	}
}
