package wire_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/internal/otlp/wire"
	"github.com/tidegate-io/tidegate/internal/otlp/wire/wiretest"
)

// visited is what there is to see of one span.
type visited struct {
	Service, Version, Scope string
	Span                    wire.Span
}

func walked(t *testing.T, req []byte) (sound []visited, rejected int) {
	t.Helper()
	err := wire.Walk(req, func(res *wire.Resource, scope []byte, s *wire.Span) error {
		if s.Defect != wire.Sound {
			rejected++
			return nil
		}
		sound = append(sound, visited{string(res.Service), string(res.Version), string(scope), *s})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sound, rejected
}

func inGroups(p *wire.Traces) (out []visited) {
	for _, g := range p.Groups {
		for _, s := range g.Spans {
			out = append(out, visited{string(g.Resource.Service), string(g.Resource.Version), string(g.Scope), s})
		}
	}
	return out
}

// TestParseAgreesWithWalk, also when a Traces is used again and when spans are
// defective.
func TestParseAgreesWithWalk(t *testing.T) {
	gen := wiretest.New(1, epoch)
	defective := field(1, field(2, field(2, field(5, []byte("no ids")))))
	sound := field(1, field(2, append(field(1, field(1, []byte("scope"))),
		field(2, append(field(1, []byte("0123456789abcdef")), field(2, []byte("12345678"))...))...)))
	var p wire.Traces
	for name, req := range map[string][]byte{
		"one":                gen.Request(1),
		"many":               gen.Request(700),
		"two concatenated":   append(gen.Request(50), gen.Request(60)...),
		"defective":          defective,
		"defective in front": append(bytes.Clone(defective), gen.Request(20)...),
		"defective between":  append(append(gen.Request(20), defective...), sound...),
		"empty":              {},
	} {
		if err := p.Parse(req); err != nil {
			t.Fatal(name, err)
		}
		want, rejected := walked(t, req)
		if diff := cmp.Diff(want, inGroups(&p)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if p.Sound != len(want) || p.Rejected != rejected || (rejected > 0) != (p.Defect != wire.Sound) {
			t.Errorf("%s: %d sound, %d rejected (%s)", name, p.Sound, p.Rejected, p.Defect)
		}
	}
	if err := p.Parse([]byte("no protobuf")); !fault.Is(err, fault.KindInvalid) {
		t.Error(err)
	}
}

// TestParseDoesNotAllocate guards the hot path.
func TestParseDoesNotAllocate(t *testing.T) {
	req := wiretest.New(1, epoch).Request(500)
	var p wire.Traces
	parse := func() {
		if err := p.Parse(req); err != nil {
			t.Fatal(err)
		}
	}
	parse()
	if got := testing.AllocsPerRun(10, parse); got > 5 {
		t.Errorf("%v allocations for 500 spans", got)
	}
}

func BenchmarkParse(b *testing.B) {
	req := wiretest.New(1, epoch).Request(512)
	var p wire.Traces
	b.SetBytes(int64(len(req)))
	for b.Loop() {
		if err := p.Parse(req); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*p.Sound), "ns/span")
}
