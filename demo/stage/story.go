package stage

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrStory says that everything ran and the story came out differently.
var ErrStory = errors.New("the story did not come out as told")

// Step is one line of a story.
type Step struct {
	Title string
	About time.Duration // how long it takes
	// Do returns what came of it, in a few words.
	Do func(context.Context) (string, error)
}

// Do returns a step.
func Do(title string, about time.Duration, do func(context.Context) (string, error)) Step {
	return Step{Title: title, About: about, Do: do}
}

// Play plays the steps in order.
func (s *Stage) Play(ctx context.Context, steps []Step) error {
	var rest time.Duration
	for _, step := range steps {
		rest += step.About
	}
	for i, step := range steps {
		next := ""
		if i+1 < len(steps) {
			next = steps[i+1].Title
		}
		s.Display.begin(step.Title, next, rest)
		outcome, err := step.Do(ctx)
		if err != nil {
			s.Display.fail(err)
			return fmt.Errorf("%s: %w", step.Title, err)
		}
		s.Display.done(outcome)
		rest -= step.About
	}
	return nil
}

// Claim is a sentence of the story with what was found.
type Claim struct {
	Claim string `json:"claim"`
	Found string `json:"found"`
	Holds bool   `json:"holds"`
}

func (c Claim) String() string { return c.Claim + ", but: " + c.Found }

// Failed returns the claims that do not hold.
func Failed(all []Claim) []Claim {
	var out []Claim
	for _, c := range all {
		if !c.Holds {
			out = append(out, c)
		}
	}
	return out
}

// Verdict is ErrStory with the first claim that does not hold, or nil.
func Verdict(all []Claim) error {
	if failed := Failed(all); len(failed) > 0 {
		return fmt.Errorf("%w: %s", ErrStory, failed[0])
	}
	return nil
}

// Story is what is played on a stage.
type Story interface {
	Steps() []Step
	// Conclude makes the result from what happened so far, and its claims.
	Conclude() []Claim
	// Stay keeps everything alive for people to look around, until ctx ends.
	Stay(ctx context.Context) error
}

// Tell plays a story and takes the stage down. ErrStory comes with the first
// claim that does not hold; other errors say where the logs are.
func (s *Stage) Tell(ctx context.Context, story Story) (err error) {
	defer func() { err = errors.Join(err, s.End(err == nil)) }()
	err = s.Play(ctx, story.Steps())
	claims := story.Conclude()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%w (logs are in %s)", err, s.Logs())
	}
	s.Display.Claims(claims)
	err = Verdict(claims)
	if !s.Exit {
		if stayErr := story.Stay(ctx); stayErr != nil {
			return stayErr
		}
	}
	return err
}
