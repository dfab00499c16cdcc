package loadrun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/internal/program"
	"github.com/tidegate-io/tidegate/loadtest"
)

// Command runs a test's program. Its environment is that of the server
// without the variables that look like secrets, plus
//
//	TIDEGATE_URL          where the server's API is
//	TIDEGATE_RUN_ID       the run
//	TIDEGATE_TEST         the test's name
//	TIDEGATE_RESULT_FILE  where the program may leave its result as JSON
//	BAGGAGE               value for the header of the same name
//
// plus what the definition says. The end of its output is kept. It ends well
// with exit code 0; k6's 99 ("thresholds have failed") is the end of a run
// that did its work too. It runs in a process group of its own, which is
// asked to end and, after a grace period, killed when the run is cancelled.
type Command struct {
	// URL of the server's API, passed on as TIDEGATE_URL.
	URL string
	// Grace between asking and killing; default 5 s.
	Grace time.Duration
}

const (
	maxOutput   = 64 << 10
	maxResult   = 1 << 20
	k6Threshold = 99 // go.k6.io/k6/errext/exitcodes: ThresholdsHaveFailed
)

// Run implements loadtest.Tool.
func (c *Command) Run(ctx context.Context, job loadtest.Job) (loadtest.Outcome, error) {
	if job.Test.Command == nil {
		return loadtest.Outcome{}, fault.Invalid("load test %s has no command", job.Test.Name)
	}
	dir, err := os.MkdirTemp("", "tidegate-load-")
	if err != nil {
		return loadtest.Outcome{}, fmt.Errorf("load test %s: %w", job.Test.Name, err)
	}
	defer os.RemoveAll(dir)
	resultFile := filepath.Join(dir, "result.json")

	if d := job.Test.Duration; d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, commandLimit(d), errOverran)
		defer cancel()
	}
	out := &program.Tail{Limit: maxOutput}
	cmd := c.command(ctx, job, resultFile)
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	program.End(cmd) // nothing that it started outlives it
	outcome := loadtest.Outcome{Output: out.String(), Result: readResult(resultFile)}
	if errors.Is(context.Cause(ctx), errOverran) {
		return outcome, fmt.Errorf("%s: %w", job.Test.Tool(), errOverran)
	}
	if err == nil {
		return outcome, nil
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == k6Threshold && job.Test.Tool() == "k6" {
		outcome.Note = "k6: thresholds have failed"
		return outcome, nil
	}
	return outcome, fmt.Errorf("%s: %w", job.Test.Tool(), err)
}

var errOverran = errors.New("ran far longer than the test's duration and was stopped")

// commandLimit leaves a program time to start, to wind down and to report.
func commandLimit(d time.Duration) time.Duration { return 2*d + time.Minute }

func (c *Command) command(ctx context.Context, job loadtest.Job, resultFile string) *exec.Cmd {
	def := job.Test.Command
	cmd := exec.CommandContext(ctx, def.Args[0], def.Args[1:]...)
	cmd.Dir = def.Dir
	cmd.Env = append(program.Environment(),
		"TIDEGATE_URL="+c.URL,
		"TIDEGATE_RUN_ID="+job.Run.ID,
		"TIDEGATE_TEST="+job.Run.Test,
		"TIDEGATE_RESULT_FILE="+resultFile,
		"BAGGAGE="+Baggage(job.Run))
	for k, v := range def.Env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	program.Group(cmd)
	cmd.WaitDelay = c.Grace
	if cmd.WaitDelay <= 0 {
		cmd.WaitDelay = 5 * time.Second
	}
	return cmd
}

// readResult takes over what the program left: as the result where it has
// the fields of one, and whole as Extra.
func readResult(path string) *loadtest.Result {
	info, err := os.Stat(path)
	if err != nil || info.Size() > maxResult {
		return nil
	}
	raw, err := os.ReadFile(path)
	if err != nil || !json.Valid(raw) {
		return nil
	}
	var res loadtest.Result
	if json.Unmarshal(raw, &res) != nil {
		res = loadtest.Result{}
	}
	res.Extra = raw
	return &res
}
