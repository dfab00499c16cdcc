package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/tidegate-io/tidegate/demo/app"
	"github.com/tidegate-io/tidegate/demo/delivery"
	"github.com/tidegate-io/tidegate/demo/release"
	"github.com/tidegate-io/tidegate/demo/selfhealing"
	"github.com/tidegate-io/tidegate/demo/shop"
	"github.com/tidegate-io/tidegate/demo/stage"
)

func demoCommand() *cobra.Command {
	return parent(&cobra.Command{Use: "demo", Short: "Watch the whole story on this machine"}, releaseValidationCommand(),
		selfHealingCommand(), pipelineDemoCommand(), blueGreenCommand(), canaryCommand(), shopCommand(), appCommand())
}

// demoStory makes the command of one story; run returns its outcome, which is
// written as JSON whatever the error.
func demoStory(cmd *cobra.Command, run func(ctx context.Context, cfg stage.Config) (any, error)) *cobra.Command {
	var cfg stage.Config
	var file string
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg.Out = cmd.OutOrStdout()
		res, err := run(cmd.Context(), cfg)
		if file != "" {
			err = errors.Join(err, writeJSON(file, res))
		}
		if errors.Is(err, stage.ErrStory) {
			fmt.Fprintln(cmd.ErrOrStderr(), "tidegate: "+err.Error())
			return exit(exitFail)
		}
		return err
	}
	f := cmd.Flags()
	f.BoolVar(&cfg.Exit, "exit", false, "end after the story")
	f.StringVar(&file, "json", "", "file to write the outcome to")
	f.StringVar(&cfg.Dir, "dir", "", "directory for data, logs and reports; default a temporary one")
	f.StringVar(&cfg.Listen, "listen", "", "address of the UI; default 127.0.0.1:7070 when it is free")
	return cmd
}

// afterwards is what --exit means, for the help of every story.
const afterwards = `

Without --exit everything stays up, to look around; Ctrl-C ends it. With --exit
the exit code is 0 only if the story came out as told.`

func releaseValidationCommand() *cobra.Command {
	return demoStory(&cobra.Command{
		Use:   release.Name,
		Short: "From a flag flip to a no-go with evidence and a rollback",
		Long: `Starts a server and a shop of eight services on free ports of this machine,
trains a guardian with load tests, turns on a flag that breaks payments, and
shows the verdict, its evidence and the rollback. Every number comes from real
requests between real processes.` + afterwards,
	}, func(ctx context.Context, cfg stage.Config) (any, error) { return release.Run(ctx, cfg) })
}

func selfHealingCommand() *cobra.Command {
	return demoStory(&cobra.Command{
		Use:   selfhealing.Name,
		Short: "Production under load: noticed, explained, healed, verified",
		Long: `Three times a shop in production, with customers, and something goes wrong: a
flag breaks payments, a deployment breaks shipping, the card network, which is
somebody else's, goes down. Each is noticed, explained, and healed, or rightly
left alone.` + afterwards,
	}, func(ctx context.Context, cfg stage.Config) (any, error) { return selfhealing.Run(ctx, cfg) })
}

func pipelineDemoCommand() *cobra.Command {
	return demoStory(&cobra.Command{
		Use:   delivery.Pipeline,
		Short: "Four builds through staging and production, two of them bad",
		Long: `Starts a server with a pipeline: staging under load, compared with production,
approved by that; production, compared with what it was before. Of four builds
one is rejected in staging and one rolled back in production.` + afterwards,
	}, func(ctx context.Context, cfg stage.Config) (any, error) { return delivery.RunPipeline(ctx, cfg) })
}

func blueGreenCommand() *cobra.Command {
	return demoStory(&cobra.Command{
		Use:   delivery.BlueGreen,
		Short: "A good version is switched to, a bad one switched back",
		Long: `Starts a server, a service behind a route, and customers who order all the
time. A good version is deployed beside the old one and gets the customers at
once; then a bad one does, is found out, and the customers are switched back.
Every single answer is counted.` + afterwards,
	}, func(ctx context.Context, cfg stage.Config) (any, error) { return delivery.RunBlueGreen(ctx, cfg) })
}

func canaryCommand() *cobra.Command {
	return demoStory(&cobra.Command{
		Use:   delivery.Canary,
		Short: "A good canary is promoted step by step, a bad one aborted",
		Long: `Starts a server, a service behind a route, and customers who order all the
time. A good version gets 20 %, then 50 %, then all of the customers; a bad one
is aborted at its first step. Every single answer is counted.` + afterwards,
	}, func(ctx context.Context, cfg stage.Config) (any, error) { return delivery.RunCanary(ctx, cfg) })
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

// appCommand runs one build of the delivery stories' service.
func appCommand() *cobra.Command {
	return &cobra.Command{
		Use: "app [flags]", Short: "Run one build of the sample service", Hidden: true,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.Main(cmd.Context(), args, cmd.ErrOrStderr())
		},
	}
}
