package release

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/demo/release/manifests"
	"github.com/tidegate-io/tidegate/demo/shop"
	"github.com/tidegate-io/tidegate/demo/stage"
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
	*stage.Stage
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
	told       Result
}

// Steps implements stage.Story.
func (p *play) Steps() []stage.Step {
	const judged = 16 * time.Second // a load test of 10 s and its verdict
	out := []stage.Step{
		stage.Do("start the server", 2*time.Second, p.serverStep),
		stage.Do("start the shop: eight services", 3*time.Second, p.shopStep),
		stage.Do("apply the manifests: guardian, workflow, load tests, flags", time.Second, p.applyStep),
	}
	for i := range trainingRuns {
		out = append(out, stage.Do(fmt.Sprintf("load test %d of %d: learn what is normal", i+1, trainingRuns), judged, p.trainingStep))
	}
	return append(out,
		stage.Do("acceptance load test of a healthy release", judged, p.acceptanceStep),
		stage.Do(who+" turns on the flag "+flagKey, flagLead, p.flagStep),
		stage.Do("acceptance load test: is it a go?", judged, p.nogoStep),
		stage.Do("the workflow takes the flag back by itself", time.Second, p.undoStep),
		stage.Do("verification under load", judged, p.verifyStep),
		stage.Do("save the report", time.Second, p.reportStep),
	)
}

func (p *play) serverStep(ctx context.Context) (string, error) {
	if err := p.OpenShop(); err != nil {
		return "", err
	}
	if err := p.StartServer(ctx, "SHOP_URL="+p.Shop.URL); err != nil {
		return "", err
	}
	return "the UI is at " + p.API.Base, nil
}

func (p *play) shopStep(ctx context.Context) (string, error) {
	if err := p.StartShop(ctx, "dev", ""); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d processes; the first order went through", len(shop.Services())), nil
}

func (p *play) applyStep(ctx context.Context) (string, error) {
	return "", p.Apply(ctx, manifests.Files)
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
	p.flipped, err = p.API.SetFlag(ctx, flagSet, flag.Change{
		Key: flagKey, Variant: "on", Who: who, Reason: "try the new payment processor", OnFailure: "off"})
	if err != nil {
		return "", err
	}
	p.Display.Detail("nobody notices: there are no customers yet")
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
	err := p.Until(ctx, undoTimeout, 25*time.Millisecond, "the workflow has taken "+flagKey+" back", func() (ok bool, err error) {
		p.undone, ok, err = p.API.Undoing(ctx, p.flipped)
		return ok, err
	})
	if err != nil {
		return "", err
	}
	if _, err := p.API.StartLoad(ctx, "verification"); err != nil {
		return "", err
	}
	if p.flagAfter, err = p.API.Flag(ctx, flagSet, flagKey); err != nil {
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
		raw, err := p.API.Report(ctx, p.nogo.ID, f.format)
		if err != nil {
			return "", err
		}
		name := filepath.Join(p.Dir, f.file)
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
	p.Display.Detail("%d requests; telemetry settles, then the verdict", run.Result.Requests)
	v, err := p.verdict(ctx, loadtest.EndedEvent(run).ID, run.Purpose)
	return run, v, err
}

// load runs a load test to its end.
func (p *play) load(ctx context.Context, test string) (loadtest.Run, error) {
	run, err := p.API.StartLoad(ctx, test)
	if err != nil {
		return run, err
	}
	err = p.Until(ctx, loadTimeout, 200*time.Millisecond, "load test "+test+" has finished", func() (bool, error) {
		run, err = p.API.Load(ctx, run.ID)
		if err != nil {
			return false, err
		}
		if run.Result != nil {
			p.Display.Detail("%d requests, %d failed", run.Result.Requests, run.Result.Failures)
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
	err = p.Until(ctx, verdictTimeout, 100*time.Millisecond, "the validation after event "+eventID+" has finished", func() (ok bool, err error) {
		v, ok, err = p.API.Validation(ctx, guardianName, eventID, purpose)
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

// Conclude implements stage.Story.
func (p *play) Conclude() []stage.Claim {
	p.told = p.result()
	return p.told.Claims
}

// where says where to look.
func (p *play) where() string {
	return fmt.Sprintf(`
Everything stays up, with a few customers in the shop. Look around:

  UI            %s
  the no-go     %s/validations/%s
  flags         %s/flags        (turn one on and see)
  report        %s
  shop          %s/api/products
  OTLP          grpc %s, http %s
  flagd, OFREP  %s, %s
  logs          %s

Ctrl-C stops it all.
`, p.API.Base, p.API.Base, p.nogo.ID, p.API.Base, p.report, p.Shop.URL, p.At.OTLPGRPC, p.At.OTLPHTTP,
		p.At.FlagEvaluation, p.At.OFREP, p.Logs())
}

// Stay keeps everything up, with some customers, until ctx ends.
func (p *play) Stay(ctx context.Context) error {
	if _, err := p.API.StartLoad(ctx, "customers"); err != nil {
		return err
	}
	p.Display.Say(p.where())
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := p.Alive(); err != nil {
				return err
			}
		}
	}
}
