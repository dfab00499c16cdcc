// Package healrun does what remediations say: it runs commands and calls
// webhooks. Both get the request as JSON and may answer with JSON.
package healrun

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/healing"
	"github.com/tidegate-io/tidegate/internal/program"
)

const (
	maxOutput = 64 << 10
	maxError  = 500 // of the output, in an error
	grace     = 5 * time.Second
)

// Command runs a program. It gets the request as JSON on its standard input,
// and in its environment, which is the server's without what looks like
// secrets, plus what the definition says:
//
//	TIDEGATE_URL          where the server's API is
//	TIDEGATE_KEY          the idempotency key
//	TIDEGATE_PROBLEM      id of the problem
//	TIDEGATE_SERVICE, TIDEGATE_ENVIRONMENT, TIDEGATE_REVISION
//
// Exit code 0 is success. A JSON object on its standard output is the answer;
// any other output is the answer's message. It runs in a process group of its
// own, which is asked to end and then killed when its time is over.
type Command struct {
	// URL of the server's API.
	URL string
}

var _ healing.Actor = (*Command)(nil)

var errOverran = errors.New("ran for longer than its timeout and was stopped")

// Do implements healing.Actor.
func (c *Command) Do(ctx context.Context, r healing.Request) (healing.Answer, error) {
	def := r.Command
	if def == nil || len(def.Args) == 0 {
		return healing.Answer{}, fault.Invalid("the action has no command")
	}
	in, err := json.Marshal(r)
	if err != nil {
		return healing.Answer{}, fault.Internal("request of %s: %w", r.Key, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, def.Timeout, errOverran)
	defer cancel()
	stdout, stderr := &program.Tail{Limit: maxOutput}, &program.Tail{Limit: maxOutput}
	cmd := exec.CommandContext(ctx, def.Args[0], def.Args[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = def.Dir, c.environment(&r), bytes.NewReader(in), stdout, stderr
	cmd.WaitDelay = grace
	program.Group(cmd)
	err = cmd.Run()
	program.End(cmd) // nothing that it started outlives it
	switch {
	case errors.Is(context.Cause(ctx), errOverran):
		return healing.Answer{}, fault.Invalid("%s %w after %s", def.Args[0], errOverran, def.Timeout)
	case err != nil:
		return healing.Answer{}, fault.Invalid("%s: %w: %s", def.Args[0], err, lastOf(stderr.String(), stdout.String()))
	}
	return answerOf(stdout.String()), nil
}

func (c *Command) environment(r *healing.Request) []string {
	env := append(program.Environment(),
		"TIDEGATE_URL="+c.URL, "TIDEGATE_KEY="+r.Key, "TIDEGATE_PROBLEM="+r.Problem,
		"TIDEGATE_SERVICE="+r.Service, "TIDEGATE_ENVIRONMENT="+r.Environment, "TIDEGATE_REVISION="+r.Revision)
	for k, v := range r.Command.Env {
		env = append(env, k+"="+v)
	}
	return env
}

// answerOf reads what was answered; text is a message.
func answerOf(text string) healing.Answer {
	text = strings.TrimSpace(text)
	var a healing.Answer
	if strings.HasPrefix(text, "{") && json.Unmarshal([]byte(text), &a) == nil {
		return a
	}
	return healing.Answer{Message: last(text)}
}

// lastOf is the end of the first text that says something.
func lastOf(texts ...string) string {
	for _, t := range texts {
		if t = strings.TrimSpace(t); t != "" {
			return last(t)
		}
	}
	return "it said nothing"
}

func last(text string) string {
	if r := []rune(text); len(r) > maxError {
		return fmt.Sprintf("…%s", string(r[len(r)-maxError:]))
	}
	return text
}
