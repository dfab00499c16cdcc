// Package scenario plays release validation on this machine, from a shop
// under load to a no-go with evidence, a rollback and a verification:
//
//  1. a server and the shop start, each service a process of its own
//  2. five load tests teach the guardian what is normal
//  3. an acceptance load test passes
//  4. somebody turns on the flag paymentServiceFailure
//  5. the next acceptance load test is a no-go; the verdict names the failing
//     call, the exception and the change
//  6. the workflow takes the flag back by itself and looks again: it passes
//  7. a report is left behind
//
// Nothing is staged. The scenario does what people and tools would do, by the
// server's public API, and then checks that the story came out as told: each
// [Claim] is a sentence with what was found.
package scenario

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/tidegate-io/tidegate/fault"
)

// Name is what the scenario is called.
const Name = "release-validation"

// Config configures a scenario.
type Config struct {
	// Binary is the tidegate program; default the running one.
	Binary string
	// Dir holds the server's data, the logs, the manifests and the report;
	// default a new one below the system's temporary directory, of which the
	// data goes when the story came out as told.
	Dir string
	// Listen is the address of the UI; default 127.0.0.1:7070 when it is free.
	Listen string
	// Exit ends everything after the story. Otherwise the shop stays up, with
	// some customers, until the context ends.
	Exit bool
	// Out is where progress is shown; a terminal is recognized. Optional.
	Out io.Writer
}

// ErrStory says that everything ran and the story came out differently.
var ErrStory = errors.New("the story did not come out as told")

// Run plays the scenario and ends what it started. The Result is as complete
// as it could be made, whatever the error; ErrStory comes with the claims that
// do not hold.
func Run(ctx context.Context, cfg Config) (res Result, err error) {
	temporary := cfg.Dir == ""
	if err := cfg.defaults(); err != nil {
		return Result{Scenario: Name}, err
	}
	d := newDisplay(cfg.Out)
	defer d.close()
	s := &stage{cfg: cfg, display: d}
	defer func() {
		d.note("stopping")
		s.stop()
		if temporary && err == nil {
			err = os.RemoveAll(filepath.Join(cfg.Dir, "data"))
		}
	}()
	p := &play{stage: s, began: time.Now()}
	err = p.run(ctx, p.steps())
	res = p.result()
	if ctx.Err() != nil {
		return res, ctx.Err()
	}
	if err != nil {
		return res, fmt.Errorf("%w (logs are in %s)", err, filepath.Join(cfg.Dir, "logs"))
	}
	d.claims(res)
	if !res.OK {
		err = fmt.Errorf("%w: %s", ErrStory, res.Failed()[0])
	}
	if !cfg.Exit {
		if stayErr := p.stay(ctx); stayErr != nil {
			return res, stayErr
		}
	}
	return res, err
}

func (c *Config) defaults() (err error) {
	if c.Out == nil {
		c.Out = io.Discard
	}
	if c.Binary == "" {
		if c.Binary, err = os.Executable(); err != nil {
			return fmt.Errorf("path of this program: %w", err)
		}
	}
	if c.Dir == "" {
		c.Dir, err = os.MkdirTemp("", "tidegate-demo-")
	} else if err = os.MkdirAll(c.Dir, 0o700); err == nil {
		c.Dir, err = filepath.Abs(c.Dir)
	}
	if err != nil {
		return fault.Invalid("directory of the demo: %w", err)
	}
	return os.MkdirAll(filepath.Join(c.Dir, "logs"), 0o700)
}
