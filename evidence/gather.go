package evidence

import (
	"context"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/telemetry"
)

// Interval is a half-open interval of time.
type Interval struct {
	From, To time.Time
}

// Length of the interval.
func (i Interval) Length() time.Duration { return i.To.Sub(i.From) }

// ChangeFinder finds change events, newest first.
type ChangeFinder interface {
	Events(ctx context.Context, q change.Query) ([]change.Event, error)
}

// Request says what to explain and where to look. Readers may be nil.
type Request struct {
	// Target is the service whose requests failed or were slow; Operation
	// restricts them.
	Target    entity.Ref
	Operation string
	Window    Interval
	// Baseline is a time when all was well, to tell new from usual; when
	// zero, as long as Window and right before it.
	Baseline Interval
	// BaselineTarget is where the baseline is read; when zero, the target.
	BaselineTarget entity.Ref
	// Slow also looks for where time went: for a latency that was too high.
	Slow bool
	// Also names further services whose logs are compared.
	Also []entity.Ref

	Traces  telemetry.TraceReader
	Logs    telemetry.LogReader
	Changes ChangeFinder

	Limits Limits
}

// Limits bound the work; zero fields have the defaults named.
type Limits struct {
	Failing int // failing traces looked at; 2,000
	Passing int // traces compared for their slow paths, on each side; 500
	Logs    int // log records on each side, per service; 2,000
	Changes int // change events; 1,000
}

func (l Limits) withDefaults() Limits {
	def := func(n *int, d int) {
		if *n <= 0 {
			*n = d
		}
	}
	def(&l.Failing, 2000)
	def(&l.Passing, 500)
	def(&l.Logs, 2000)
	def(&l.Changes, 1000)
	return l
}

func (r Request) withDefaults() Request {
	r.Limits = r.Limits.withDefaults()
	if r.Baseline == (Interval{}) {
		r.Baseline = Interval{From: r.Window.From.Add(-r.Window.Length()), To: r.Window.From}
	}
	if r.BaselineTarget == (entity.Ref{}) {
		r.BaselineTarget = r.Target
	}
	return r
}

// Gather looks at what the readers hold and returns what it found. A reader
// that is missing or fails becomes a gap in the evidence. When ctx ends before
// all is gathered it returns what there is, with ctx's error.
func Gather(ctx context.Context, r Request) (*Evidence, error) {
	if !r.Window.To.After(r.Window.From) {
		return nil, fault.InvalidField("window", "expected from before to")
	}
	r = r.withDefaults()
	e := &Evidence{}
	g := gathering{Request: r, out: e}
	g.failures(ctx)
	if r.Slow {
		g.slow(ctx)
	}
	g.logs(ctx)
	g.changes(ctx)
	if err := ctx.Err(); err != nil {
		g.gap("not everything could be looked at in time", nil)
		return e, err
	}
	return e, nil
}

// gathering is one run of Gather.
type gathering struct {
	Request
	out *Evidence
	// groups carry what ranking needs beyond what is shown.
	groups []*group
	// slowGroup stands for the requests that became slow.
	slowGroup *group
}

// gap notes what could not be looked at.
func (g *gathering) gap(what string, err error) {
	if err != nil {
		what += ": " + err.Error()
	}
	g.out.Gaps = append(g.out.Gaps, what)
}
