// Command tidegate is the server and its command line.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tidegate-io/tidegate/demo/child"
	"github.com/tidegate-io/tidegate/judge"
)

// version is set when linking.
var version = "dev"

// Exit codes. A verdict decides the first three; everything that goes wrong
// is the last.
const (
	exitPass         = 0
	exitFail         = 1
	exitInconclusive = 2
	exitError        = 3
)

// exit is an error that carries only an exit code: everything has been said.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// exitOf maps a verdict to the exit code.
func exitOf(s judge.Status) error {
	switch s {
	case judge.StatusPass, judge.StatusWarn, judge.StatusInfo:
		return nil
	case judge.StatusFail:
		return exit(exitFail)
	case judge.StatusInconclusive, judge.StatusLearning:
		return exit(exitInconclusive)
	}
	return exit(exitError)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, release := child.Lifeline(ctx) // ends with the demo that started this process
	defer release()
	c := &cli{}
	cmd, err := newRoot(c).ExecuteContextC(ctx)
	var code exit
	switch {
	case err == nil:
	case errors.As(err, &code):
		stop()
		os.Exit(int(code))
	default:
		fmt.Fprintln(os.Stderr, "tidegate: "+err.Error())
		if !c.running { // the command line itself was wrong
			usage(os.Stderr, cmd)
		}
		stop()
		os.Exit(exitError)
	}
}

// usage says how the command is called and where there is more.
func usage(w io.Writer, cmd *cobra.Command) {
	if !cmd.HasSubCommands() {
		fmt.Fprintf(w, "usage: %s\n", cmd.UseLine())
	}
	fmt.Fprintf(w, "see:   %s --help\n", cmd.CommandPath())
}

// cli is what the commands share.
type cli struct {
	server    string
	tokenFile string
	output    string
	running   bool // the command line was understood
}

func newRoot(c *cli) *cobra.Command {
	root := &cobra.Command{
		Use:   "tidegate",
		Short: "Is this change good, and if not, undo it",
		Long: `Tidegate receives the telemetry of a system, knows every change to it, and
judges: go, no-go or not enough evidence, with the failing call, the exception
and the change that caused it; and takes the change back by itself when that
is safe.

  tidegate serve                     run the server (UI on http://127.0.0.1:7070)
  tidegate demo release-validation   watch the whole story on this machine
  tidegate validate checkout --last 1m`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version,
	}
	root.SetVersionTemplate("tidegate {{.Version}}\n")
	f := root.PersistentFlags()
	f.StringVar(&c.server, "server", envOr("TIDEGATE_SERVER", "http://127.0.0.1:7070"), "URL of the server (TIDEGATE_SERVER)")
	f.StringVar(&c.tokenFile, "token-file", os.Getenv("TIDEGATE_TOKEN_FILE"), "file with the access token (or TIDEGATE_TOKEN)")
	f.StringVarP(&c.output, "output", "o", "text", "text or json")
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if c.output != "text" && c.output != "json" {
			return fmt.Errorf("--output %q: expected text or json", c.output)
		}
		return nil
	}
	addGroup(root, "Judge", c.validateCommand(), c.validationCommand(), c.guardianCommand())
	addGroup(root, "Look and change", c.servicesCommand(), c.entitiesCommand(), c.problemCommand(), c.traceCommand(), c.logsCommand(), c.eventCommand(), c.flagCommand(),
		c.loadTestCommand(), c.workflowCommand(), c.healingCommand(), c.pipelineCommand(), c.routeCommand(), c.rolloutCommand())
	addGroup(root, "Configure", c.applyCommand(), c.deleteCommand(), c.manifestsCommand(), c.rulesCommand(), schemaCommand())
	addGroup(root, "Run", serveCommand(), c.statusCommand(), demoCommand(), openAPICommand())
	root.AddCommand(docsCommand(root))
	c.markRunning(root)
	return root
}

// addGroup adds commands that belong together in the list of commands.
func addGroup(root *cobra.Command, title string, commands ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: title, Title: title + ":"})
	for _, cmd := range commands {
		cmd.GroupID = title
	}
	root.AddCommand(commands...)
}

// markRunning notes when a command begins to run: what fails before that is a
// mistake in the command line, whatever part of cobra found it.
func (c *cli) markRunning(cmd *cobra.Command) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			c.running = true
			return run(cmd, args)
		}
	}
	for _, sub := range cmd.Commands() {
		c.markRunning(sub)
	}
}

// parent makes a command that only holds others: alone it prints its help, a
// name that none of them has is an error.
func parent(cmd *cobra.Command, subs ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(subs...)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		var names []string
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				names = append(names, sub.Name())
			}
		}
		return fmt.Errorf("unknown command %q for %q: expected one of %s", args[0], cmd.CommandPath(), strings.Join(names, ", "))
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}

func (c *cli) client() (*client, error) {
	token := os.Getenv("TIDEGATE_TOKEN")
	if c.tokenFile != "" {
		raw, err := os.ReadFile(c.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("--token-file: %w", err)
		}
		token = strings.TrimSpace(string(raw))
	}
	return newClient(c.server, token)
}

func envOr(name, def string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return def
}
