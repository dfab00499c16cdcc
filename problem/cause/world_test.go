package cause

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/problem"
	"github.com/tidegate-io/tidegate/telemetry"
)

// onset is when things go wrong in the little worlds; they are asked about
// five minutes later.
var onset = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

const slot = 30 * time.Second

func prod(service string) entity.Ref { return entity.Ref{Service: service, Environment: "prod"} }

// little is a world under construction: frontend calls checkout and catalog,
// checkout calls payment and shipping. An hour of golden signals is there.
type little struct {
	Input
	rnd *rand.Rand
}

func newLittle() *little {
	l := &little{rnd: rand.New(rand.NewPCG(1, 2))}
	l.Now = onset.Add(5 * time.Minute)
	for _, c := range [][2]string{{"frontend", "checkout"}, {"frontend", "catalog"}, {"checkout", "payment"}, {"checkout", "shipping"}} {
		l.Calls = append(l.Calls, Call{prod(c[0]), prod(c[1])})
	}
	for _, s := range []struct {
		service string
		rate    float64
	}{{"frontend", 50}, {"checkout", 20}, {"catalog", 30}, {"payment", 20}, {"shipping", 20}} {
		l.measure(s.service, "requests", s.rate*slot.Seconds(), 0.03)
		l.measure(s.service, "errors_ratio", 0.002, 0.3)
		l.measure(s.service, "latency", 0.040, 0.05)
	}
	return l
}

// measure adds a series around a level with noise in proportion.
func (l *little) measure(service, metric string, level, noise float64) {
	s := Series{Ref: prod(service), Metric: metric, Statistic: "mean", Step: slot}
	for at := onset.Add(-time.Hour); at.Before(l.Now); at = at.Add(slot) {
		s.Points = append(s.Points, Point{at, math.Max(0, level*(1+noise*l.rnd.NormFloat64()))})
	}
	l.Series = append(l.Series, s)
}

// from changes a series from a time on.
func (l *little) from(at time.Time, service, metric string, f func(v float64) float64) *little {
	for i, s := range l.Series {
		if s.Service != service || s.Metric != metric {
			continue
		}
		for j, p := range s.Points {
			if !p.Time.Before(at) {
				l.Series[i].Points[j].Value = f(p.Value)
			}
		}
	}
	return l
}

func plus(by float64) func(float64) float64  { return func(v float64) float64 { return v + by } }
func times(by float64) func(float64) float64 { return func(v float64) float64 { return v * by } }

// diluted is the share of its caller's requests that call a service.
var diluted = map[string]float64{"checkout": 0.4, "catalog": 0.6, "payment": 1, "shipping": 1}

// failing: the last service of a chain begins to fail, and all above with it.
func (l *little) failing(share float64, chain ...string) *little {
	for i := len(chain) - 1; i >= 0; i-- {
		l.from(onset, chain[i], "errors_ratio", plus(share))
		share *= diluted[chain[i]]
	}
	return l
}

// slow: the last service of a chain takes longer, and all above with it.
func (l *little) slow(by float64, chain ...string) *little {
	for i := len(chain) - 1; i >= 0; i-- {
		l.from(onset, chain[i], "latency", plus(by))
		by *= diluted[chain[i]]
	}
	return l
}

func (l *little) symptom(service string, signal problem.Signal) *little {
	l.Symptoms = append(l.Symptoms, problem.Event{ID: service + string(signal), Source: "detector", Signal: signal, Ref: prod(service),
		Start: onset, Observed: 0.3, Expected: 0.002, EValue: 1e6})
	return l
}

func (l *little) change(kind change.Kind, service, title string, before time.Duration, edit ...func(*change.Event)) *little {
	e := change.Event{ID: fmt.Sprintf("change-%d", len(l.Changes)), Kind: kind, Title: title, Start: onset.Add(-before), Ref: prod(service)}
	for _, f := range edit {
		f(&e)
	}
	l.Changes = append(l.Changes, e)
	return l
}

func property(key, value string) func(*change.Event) {
	return func(e *change.Event) {
		if e.Properties == nil {
			e.Properties = map[string]string{}
		}
		e.Properties[key] = value
	}
}

func key(k, from, to string) func(*change.Event) {
	return func(e *change.Event) { e.Key, e.From, e.To = k, from, to }
}

// group is a group of failing requests that begin to fail at a service.
func (l *little) group(service, operation, exception, message string, edit ...func(*evidence.FailureGroup)) *little {
	g := evidence.FailureGroup{Signature: service + operation + exception, Service: service, Operation: operation, ExceptionType: exception,
		Message: message, Count: 100, Share: 1, Origin: prod(service), Started: onset, FirstSeen: onset, LastSeen: l.Now}
	for _, f := range edit {
		f(&g)
	}
	l.Failures = append(l.Failures, g)
	return l
}

func (l *little) logs(service, template string, count, baseline int, edit ...func(*evidence.LogTemplate)) *little {
	t := evidence.LogTemplate{Service: service, Severity: "ERROR", Template: template, Count: count, Baseline: baseline, New: baseline == 0,
		Sample: telemetry.LogRecord{Ref: prod(service), Body: template}, First: onset}
	for _, f := range edit {
		f(&t)
	}
	l.Logs = append(l.Logs, t)
	return l
}

type want struct {
	kind    problem.CauseKind
	service string
	change  string // title; empty for none
	remedy  problem.Remedy
}

// asked is a world with the right answer.
type asked struct {
	l *little
	want
}

// worlds are little worlds whose causes are known.
func worlds() map[string]asked {
	inPayment := func(g *evidence.FailureGroup) {
		g.Path = []evidence.Hop{{Service: "frontend"}, {Service: "checkout"}, {Service: "payment"}}
	}
	return map[string]asked{
		"a bad deployment": {
			newLittle().failing(0.3, "frontend", "checkout", "payment").symptom("frontend", problem.SignalErrors).
				group("payment", "Charge", "NilPointer", "nil pointer dereference", inPayment).
				change(change.KindDeployment, "payment", "payment 2.0", time.Minute),
			want{problem.CauseChange, "payment", "payment 2.0", problem.RemedyRollback},
		},
		"a bad deployment, seen in the series only": {
			newLittle().failing(0.3, "frontend", "checkout", "payment").symptom("frontend", problem.SignalErrors).
				change(change.KindDeployment, "payment", "payment 2.0", time.Minute),
			want{problem.CauseChange, "payment", "payment 2.0", problem.RemedyRollback},
		},
		"a bad flag that the failing requests evaluate, defined nowhere in particular": {
			newLittle().failing(0.3, "frontend", "checkout", "payment").symptom("frontend", problem.SignalErrors).
				group("payment", "Charge", "InvalidToken", "invalid token", func(g *evidence.FailureGroup) { g.Flags = []string{"paymentFailure"} }).
				change(change.KindFlag, "", "paymentFailure 10% → 100%", 10*time.Second, key("paymentFailure", "10%", "100%")),
			want{problem.CauseChange, "payment", "paymentFailure 10% → 100%", problem.RemedyFlagOff},
		},
		"a bad configuration": {
			newLittle().slow(0.4, "frontend", "catalog").symptom("frontend", problem.SignalLatency).
				change(change.KindConfiguration, "catalog", "pool size 50 → 5", time.Minute),
			want{problem.CauseChange, "catalog", "pool size 50 → 5", problem.RemedyConfigRevert},
		},
		"a migration is not rolled back": {
			newLittle().failing(0.3, "frontend", "checkout", "payment").symptom("frontend", problem.SignalErrors).
				change(change.KindDeployment, "payment", "payment 2.0", time.Minute, property(PropertyIrreversible, "true")),
			want{problem.CauseChange, "payment", "payment 2.0", problem.RemedyRollForward},
		},
		"an outage of what is not ours": {
			newLittle().failing(0.5, "frontend", "checkout", "payment").symptom("frontend", problem.SignalErrors).
				group("payment", "POST /charge", "", "HTTP status 503", func(g *evidence.FailureGroup) { g.Peer = "api.cards.example" }).
				change(change.KindDeployment, "payment", "payment 2.0", 25*time.Minute).
				change(change.KindFlag, "frontend", "newBanner on", 3*time.Minute, key("newBanner", "off", "on")),
			want{problem.CauseDependency, "api.cards.example", "", problem.RemedyFailOver},
		},
		"an outage of what is not ours, soon after a rollback": {
			newLittle().failing(0.5, "frontend", "checkout", "payment").symptom("frontend", problem.SignalErrors).
				group("payment", "POST", "BankError", "card network answered <n> Service Unavailable", func(g *evidence.FailureGroup) {
					g.Peer, g.Origin.Version, g.Flags = "127.0.0.1", "1.0", []string{"paymentFailure"}
				}).
				change(change.KindDeployment, "payment", "payment 2.0", 4*time.Minute, key("payment", "1.0", "2.0")).
				change(change.KindDeployment, "payment", "back to payment 1.0", 80*time.Second, key("payment", "2.0", "1.0"), func(e *change.Event) { e.UndoOf = "change-0" }).
				change(change.KindFlag, "", "paymentFailure on", 2*time.Minute, key("paymentFailure", "off", "on")).
				change(change.KindFlag, "", "paymentFailure off", 50*time.Second, key("paymentFailure", "on", "off"), func(e *change.Event) { e.UndoOf = "change-2" }),
			want{problem.CauseDependency, "127.0.0.1", "", problem.RemedyFailOver},
		},
		"a deployment that does not come up": {
			newLittle().failing(0.9, "frontend", "checkout").from(onset, "payment", "requests", times(0)).symptom("checkout", problem.SignalErrors).
				group("checkout", "payment/Charge", "", "connection refused", func(g *evidence.FailureGroup) { g.Peer = "127.0.0.1" }).
				change(change.KindDeployment, "payment", "payment 2.0", 20*time.Second),
			want{problem.CauseChange, "checkout", "payment 2.0", problem.RemedyRollback},
		},
		"an expired certificate": {
			newLittle().failing(0.9, "frontend", "checkout").symptom("checkout", problem.SignalErrors).
				group("checkout", "POST payment", "", "tls: x509: certificate has expired or is not yet valid").
				change(change.KindDeployment, "checkout", "checkout 3.1", time.Minute),
			want{problem.CauseCertificate, "checkout", "", problem.RemedyRotate},
		},
		"a surge": {
			newLittle().from(onset, "frontend", "requests", times(4)).from(onset, "checkout", "requests", times(4)).from(onset, "catalog", "requests", times(4)).
				slow(0.4, "frontend", "checkout").symptom("frontend", problem.SignalLatency).
				change(change.KindDeployment, "checkout", "checkout 3.1", 50*time.Minute),
			want{problem.CauseTraffic, "checkout", "", problem.RemedyScale},
		},
		"a noisy neighbour": {
			func() *little {
				l := newLittle().slow(0.8, "frontend", "catalog").symptom("frontend", problem.SignalLatency)
				l.measure("node-7", "node_cpu_utilization_ratio", 0.3, 0.02)
				l.measure("batch-export", "container_cpu_usage_cores", 0.01, 0.02)
				return l.from(onset.Add(-time.Minute), "node-7", "node_cpu_utilization_ratio", plus(0.65)).
					from(onset.Add(-time.Minute), "batch-export", "container_cpu_usage_cores", plus(6)).
					change(change.KindDeployment, "catalog", "catalog 1.4", 40*time.Minute)
			}(),
			want{problem.CauseResource, "catalog", "", problem.RemedyReschedule},
		},
		"one record, again and again": {
			newLittle().failing(0.9, "catalog").symptom("catalog", problem.SignalErrors).
				logs("catalog", "cannot index record <id>: latitude out of range", 60, 0, func(l *evidence.LogTemplate) { l.Same = true }).
				change(change.KindDeployment, "catalog", "catalog 1.4", 30*time.Minute),
			want{problem.CauseData, "catalog", "", problem.RemedyQuarantine},
		},
		"nothing explains it": {
			newLittle().failing(0.3, "frontend", "checkout", "shipping").symptom("frontend", problem.SignalErrors),
			want{problem.CauseFault, "shipping", "", problem.RemedyNone},
		},
		"a change after the onset is not blamed": {
			newLittle().failing(0.3, "frontend", "checkout", "payment").symptom("frontend", problem.SignalErrors).
				group("payment", "Charge", "Boom", "boom").
				change(change.KindDeployment, "payment", "payment 2.0", -time.Minute),
			want{problem.CauseFault, "payment", "", problem.RemedyNone},
		},
		"a change of an innocent service is not blamed": {
			newLittle().failing(0.3, "frontend", "checkout", "payment").symptom("frontend", problem.SignalErrors).
				change(change.KindDeployment, "catalog", "catalog 1.4", 30*time.Second),
			want{problem.CauseFault, "payment", "", problem.RemedyNone},
		},
		"a change in another environment is not blamed": {
			newLittle().failing(0.3, "frontend", "checkout", "payment").symptom("frontend", problem.SignalErrors).
				change(change.KindDeployment, "payment", "payment 2.0", time.Minute, func(e *change.Event) { e.Environment = "staging" }),
			want{problem.CauseFault, "payment", "", problem.RemedyNone},
		},
		"documents are not blamed": {
			newLittle().failing(0.3, "frontend", "checkout", "payment").symptom("frontend", problem.SignalErrors).
				change(change.KindDeployment, "payment", "docs: spelling", time.Minute, property(PropertyFiles, "docs/payment.md\npayment/charge_test.go")),
			want{problem.CauseFault, "payment", "", problem.RemedyNone},
		},
		"a change that was taken back before is not blamed": {
			newLittle().failing(0.3, "frontend", "checkout", "payment").symptom("frontend", problem.SignalErrors).
				change(change.KindFlag, "payment", "fastPath on", 3*time.Minute, key("fastPath", "off", "on")).
				change(change.KindFlag, "payment", "fastPath off", 2*time.Minute, key("fastPath", "on", "off"), func(e *change.Event) { e.UndoOf = "change-0" }),
			want{problem.CauseFault, "payment", "", problem.RemedyNone},
		},
		"of two changes at once the one at the origin": {
			newLittle().failing(0.3, "frontend", "checkout", "payment").symptom("frontend", problem.SignalErrors).
				group("payment", "Charge", "Boom", "boom", inPayment).
				change(change.KindDeployment, "checkout", "checkout 3.1", time.Minute).
				change(change.KindDeployment, "payment", "payment 2.0", time.Minute),
			want{problem.CauseChange, "payment", "payment 2.0", problem.RemedyRollback},
		},
		"of two changes in one release the one that took something out": {
			newLittle().failing(0.3, "frontend", "checkout", "payment").symptom("frontend", problem.SignalErrors).
				change(change.KindDeployment, "payment", "tidy the words", time.Minute, property(PropertyFiles, "payment/words.go"),
					property(PropertyDiff, "-\treturn fmt.Errorf(\"not found\")\n+\treturn fmt.Errorf(\"nothing found\")")).
				change(change.KindDeployment, "payment", "simplify", time.Minute, property(PropertyFiles, "payment/charge.go"),
					property(PropertyDiff, "-\tif card == nil {\n-\t\treturn errNoCard\n-\t}\n \treturn card.Charge()")),
			want{problem.CauseChange, "payment", "simplify", problem.RemedyRollback},
		},
		"a leak that began with a deployment long before": {
			func() *little {
				l := newLittle().failing(0.5, "frontend", "catalog").symptom("frontend", problem.SignalErrors)
				l.measure("catalog", "container_memory_rss_mb", 200, 0.01)
				began := onset.Add(-40 * time.Minute)
				for i := range l.Series[len(l.Series)-1].Points {
					p := &l.Series[len(l.Series)-1].Points[i]
					if d := p.Time.Sub(began); d > 0 {
						p.Value += 10 * d.Minutes()
					}
				}
				return l.change(change.KindDeployment, "catalog", "catalog 1.4", 41*time.Minute).
					change(change.KindDeployment, "catalog", "catalog 1.5", 10*time.Minute)
			}(),
			want{problem.CauseChange, "catalog", "catalog 1.4", problem.RemedyRollback},
		},
		"a restart that moved the memory long before is not why a flag failed": {
			func() *little {
				l := newLittle().failing(0.5, "frontend", "catalog").symptom("frontend", problem.SignalErrors)
				l.measure("catalog", "container_memory_rss_mb", 200, 0.01)
				return l.from(onset.Add(-45*time.Minute), "catalog", "container_memory_rss_mb", plus(60)).
					change(change.KindDeployment, "catalog", "catalog 1.4", 45*time.Minute).
					change(change.KindFlag, "catalog", "newIndex on", 5*time.Second, key("newIndex", "off", "on"))
			}(),
			want{problem.CauseChange, "catalog", "newIndex on", problem.RemedyFlagOff},
		},
		"a caller that asks more of what breaks": {
			newLittle().from(onset.Add(-2*time.Minute), "shipping", "requests", times(6)).failing(0.4, "frontend", "checkout", "shipping").
				symptom("shipping", problem.SignalErrors).
				change(change.KindDeployment, "checkout", "checkout 3.1", 150*time.Second),
			want{problem.CauseChange, "shipping", "checkout 3.1", problem.RemedyRollback},
		},
		"slow, and only that": {
			newLittle().slow(0.5, "frontend", "checkout", "shipping").symptom("frontend", problem.SignalLatency).
				change(change.KindDeployment, "shipping", "shipping 9", 45*time.Second),
			want{problem.CauseChange, "shipping", "shipping 9", problem.RemedyRollback},
		},
		"less traffic, because the caller asks less": {
			newLittle().from(onset, "payment", "requests", times(0.1)).from(onset, "checkout", "requests", times(0.1)).
				symptom("payment", problem.SignalTrafficDrop).
				change(change.KindDeployment, "checkout", "checkout 3.1", 30*time.Second),
			want{problem.CauseChange, "checkout", "checkout 3.1", problem.RemedyRollback},
		},
		"a callee that nobody called before is not where it begins": {
			func() *little {
				l := newLittle().failing(0.5, "frontend", "catalog").symptom("frontend", problem.SignalErrors)
				l.Calls = append(l.Calls, Call{prod("catalog"), prod("index-v2")})
				l.measure("index-v2", "requests", 100, 0.1)
				l.measure("index-v2", "errors_ratio", 0.5, 0.1)
				for _, m := range []int{1, 2} {
					s := &l.Series[len(l.Series)-m]
					kept := s.Points[:0]
					for _, p := range s.Points {
						if !p.Time.Before(onset) {
							kept = append(kept, p)
						}
					}
					s.Points = kept
				}
				return l
			}(),
			want{problem.CauseFault, "catalog", "", problem.RemedyNone},
		},
	}
}

func answer(c problem.Cause) want {
	title := ""
	if c.Change != nil {
		title = c.Change.Event.Title
	}
	return want{c.Kind, c.Service, title, c.Remedy}
}

func TestFind(t *testing.T) {
	for name, c := range worlds() {
		t.Run(name, func(t *testing.T) {
			got := Find(c.l.Input)
			if answer(got) != c.want {
				t.Errorf("got  %+v\nwant %+v", answer(got), c.want)
			}
			if got.Confidence <= 0 || got.Confidence > 1 || got.Sentence == "" || len(got.Ranking) == 0 || len(got.Findings) == 0 {
				t.Errorf("confidence %v, %d places, %d findings: %s", got.Confidence, len(got.Ranking), len(got.Findings), got.Sentence)
			}
			if t.Failed() {
				for _, f := range got.Findings {
					t.Logf("%-10s %6.2f %s", f.Kind, f.Weight, f.Text)
				}
				for _, s := range got.Ranking {
					t.Logf("%s %.2f %s", s.Ref, s.Score, s.Why)
				}
			}
		})
	}
}
