package scenario

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/demo/manifests"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/flag"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/judge"
	"github.com/tidegate-io/tidegate/loadtest"
)

// Who and what the story is about.
const (
	trainingRuns = 5
	who          = "alex"
	flagSet      = "shop"
	flagKey      = "paymentServiceFailure"
	guardianName = "checkout"
)

// flagLead is the time between the change and the load test that meets it.
const flagLead = 4 * time.Second

// Bounds of waiting, generous: a busy machine is slow, not wrong.
const (
	loadTimeout    = 2 * time.Minute
	verdictTimeout = 90 * time.Second
	undoTimeout    = 30 * time.Second
)

// play is the story as it goes on.
type play struct {
	*stage
	began time.Time

	training   []guardian.Validation
	acceptance *guardian.Validation // passes
	flipped    change.Event
	nogo       *guardian.Validation
	undone     change.Event
	flagAfter  flag.Flag
	verified   *guardian.Validation
	report     string
	reportHTML []byte
}

// step is one line of the story.
type step struct {
	title string
	about time.Duration // how long it takes
	// do returns what came of it, in a few words.
	do func(context.Context) (string, error)
}

func (p *play) steps() []step {
	const judged = 16 * time.Second // a load test of 10 s and its verdict
	out := []step{
		{"start the server", 2 * time.Second, p.serverStep},
		{"start the shop: eight services", 3 * time.Second, p.shopStep},
		{"apply the manifests: guardian, workflow, load tests, flags", time.Second, p.applyStep},
	}
	for i := range trainingRuns {
		out = append(out, step{fmt.Sprintf("load test %d of %d: learn what is normal", i+1, trainingRuns), judged, p.trainingStep})
	}
	return append(out,
		step{"acceptance load test of a healthy release", judged, p.acceptanceStep},
		step{who + " turns on the flag " + flagKey, flagLead, p.flagStep},
		step{"acceptance load test: is it a go?", judged, p.nogoStep},
		step{"the workflow takes the flag back by itself", time.Second, p.undoStep},
		step{"verification under load", judged, p.verifyStep},
		step{"save the report", time.Second, p.reportStep},
	)
}

// run plays the steps in order.
func (p *play) run(ctx context.Context, steps []step) error {
	var rest time.Duration
	for _, s := range steps {
		rest += s.about
	}
	for i, s := range steps {
		next := ""
		if i+1 < len(steps) {
			next = steps[i+1].title
		}
		p.display.begin(s.title, next, rest)
		outcome, err := s.do(ctx)
		if err != nil {
			p.display.fail(err)
			return fmt.Errorf("%s: %w", s.title, err)
		}
		p.display.done(outcome)
		rest -= s.about
	}
	return nil
}

func (p *play) serverStep(ctx context.Context) (string, error) {
	if err := p.openShop(); err != nil {
		return "", err
	}
	if err := p.startServer(ctx); err != nil {
		return "", err
	}
	return "the UI is at " + p.api.base, nil
}

func (p *play) shopStep(ctx context.Context) (string, error) {
	if err := p.startShop(ctx); err != nil {
		return "", err
	}
	if err := p.firstOrder(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d processes; the first order went through", len(p.children)-1), nil
}

// firstOrder buys something, so that a shop that does not work says so now.
func (p *play) firstOrder(ctx context.Context) error {
	order, err := manifests.Files.ReadFile("order.json")
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.shopURL+"/api/checkout", bytes.NewReader(order))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
		return fault.Internal("the first order: %s: %s", resp.Status, body)
	}
	return nil
}

func (p *play) applyStep(ctx context.Context) (string, error) {
	return "", p.apply(ctx)
}

func (p *play) trainingStep(ctx context.Context) (string, error) {
	run, v, err := p.judged(ctx, "training")
	if err != nil {
		return "", err
	}
	p.training = append(p.training, v)
	return outcome(run, v), nil
}

func (p *play) acceptanceStep(ctx context.Context) (string, error) {
	run, v, err := p.judged(ctx, "acceptance")
	if err != nil {
		return "", err
	}
	p.acceptance = &v
	return outcome(run, v), nil
}

func (p *play) flagStep(ctx context.Context) (_ string, err error) {
	p.flipped, err = p.api.setFlag(ctx, flagSet, flag.Change{
		Key: flagKey, Variant: "on", Who: who, Reason: "try the new payment processor", OnFailure: "off"})
	if err != nil {
		return "", err
	}
	p.display.detail("nobody notices: there are no customers yet")
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case <-time.After(flagLead):
	}
	return "half of all charges would fail; nobody has noticed", nil
}

func (p *play) nogoStep(ctx context.Context) (string, error) {
	run, v, err := p.judged(ctx, "acceptance")
	if err != nil {
		return "", err
	}
	p.nogo = &v
	return outcome(run, v), nil
}

// undoStep waits for the workflow, and sends customers for the verification
// as soon as the change is taken back.
func (p *play) undoStep(ctx context.Context) (string, error) {
	err := p.until(ctx, undoTimeout, 25*time.Millisecond, "the workflow has taken "+flagKey+" back", func() (ok bool, err error) {
		p.undone, ok, err = p.api.undoing(ctx, p.flipped)
		return ok, err
	})
	if err != nil {
		return "", err
	}
	if _, err := p.api.startLoad(ctx, "verification"); err != nil {
		return "", err
	}
	if p.flagAfter, err = p.api.flag(ctx, flagSet, flagKey); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s is %s again, %.1f s after the verdict", flagKey, p.flagAfter.DefaultVariant, p.undone.Start.Sub(p.nogo.Finished).Seconds()), nil
}

func (p *play) verifyStep(ctx context.Context) (string, error) {
	v, err := p.verdict(ctx, p.nogo.EventID, "verification")
	if err != nil {
		return "", err
	}
	p.verified = &v
	return sentence(v), nil
}

func (p *play) reportStep(ctx context.Context) (string, error) {
	for _, f := range []struct{ format, file string }{{"markdown", "report.md"}, {"json", "report.json"}, {"html", "report.html"}} {
		raw, err := p.api.report(ctx, p.nogo.ID, f.format)
		if err != nil {
			return "", err
		}
		name := filepath.Join(p.cfg.Dir, f.file)
		if err := os.WriteFile(name, raw, 0o600); err != nil {
			return "", err
		}
		p.report, p.reportHTML = name, raw // the last one is the one to send
	}
	return p.report, nil
}

// judged runs a load test and waits for the verdict that follows.
func (p *play) judged(ctx context.Context, test string) (loadtest.Run, guardian.Validation, error) {
	run, err := p.load(ctx, test)
	if err != nil {
		return run, guardian.Validation{}, err
	}
	p.display.detail("%d requests; telemetry settles, then the verdict", run.Result.Requests)
	v, err := p.verdict(ctx, loadtest.EndedEvent(run).ID, run.Purpose)
	return run, v, err
}

// load runs a load test to its end.
func (p *play) load(ctx context.Context, test string) (loadtest.Run, error) {
	run, err := p.api.startLoad(ctx, test)
	if err != nil {
		return run, err
	}
	err = p.until(ctx, loadTimeout, 200*time.Millisecond, "load test "+test+" has finished", func() (bool, error) {
		run, err = p.api.load(ctx, run.ID)
		if err != nil {
			return false, err
		}
		if run.Result != nil {
			p.display.detail("%d requests, %d failed", run.Result.Requests, run.Result.Failures)
		}
		return run.State != loadtest.StateRunning, nil
	})
	if err == nil && (run.State != loadtest.StateFinished || run.Result == nil) {
		err = fault.Internal("load test %s: %s %s", test, run.State, run.Error)
	}
	return run, err
}

// verdict waits for the validation that the event causes.
func (p *play) verdict(ctx context.Context, eventID, purpose string) (v guardian.Validation, err error) {
	err = p.until(ctx, verdictTimeout, 100*time.Millisecond, "the validation after event "+eventID+" has finished", func() (ok bool, err error) {
		v, ok, err = p.api.validation(ctx, guardianName, eventID, purpose)
		return ok, err
	})
	return v, err
}

func outcome(run loadtest.Run, v guardian.Validation) string {
	if run.Result == nil {
		return sentence(v)
	}
	return fmt.Sprintf("%d requests, %d failed, p99 %s → %s", run.Result.Requests, run.Result.Failures,
		run.Result.P99.Round(time.Millisecond), sentence(v))
}

func sentence(v guardian.Validation) string {
	if v.Status == judge.StatusFail && v.Headline != "" {
		return v.Headline
	}
	return string(v.Status)
}

// stay keeps everything up, with some customers, until ctx ends.
func (p *play) stay(ctx context.Context) error {
	if _, err := p.api.startLoad(ctx, "customers"); err != nil {
		return err
	}
	p.display.stay(p)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := p.alive(); err != nil {
				return err
			}
		}
	}
}
