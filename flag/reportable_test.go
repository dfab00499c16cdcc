package flag_test

import (
	"strings"
	"testing"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/flag"
)

// A change whose event the log of changes would refuse is refused as a whole:
// it must neither be stored, nor be in the way of later changes or of a start.
func TestChangeThatCannotBeReportedIsRefused(t *testing.T) {
	path := shopFile(t)
	for name, c := range map[string]flag.Change{
		"NUL in the reason": {Key: "banner", Variant: "red", Who: "ann", Reason: "a\x00b"},
		"long reason":       {Key: "banner", Variant: "red", Who: "ann", Reason: strings.Repeat("x", 2001)},
		"long name":         {Key: "banner", Variant: "red", Who: strings.Repeat("x", 301)},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDisk()
			m := load(t, d, flag.Source{Path: path})
			if _, _, err := m.Set(t.Context(), c); !fault.Is(err, fault.KindInvalid) {
				t.Fatalf("got %v, want it refused as invalid", err)
			}
			if audits := len(d.audits); audits != 0 {
				t.Errorf("%d audits of a change that was refused", audits)
			}
			if _, _, err := m.Set(t.Context(), flag.Change{Key: "paymentServiceFailure", Variant: "on", Who: "ann"}); err != nil {
				t.Errorf("the next change: %v", err)
			}
			if _, _, err := m.Clear(t.Context(), "shop", "paymentServiceFailure", c.Who, c.Reason); !fault.Is(err, fault.KindInvalid) {
				t.Errorf("clear: got %v, want it refused as invalid", err)
			}
			if err := unloaded(t, d, flag.Source{Path: path}).Load(t.Context()); err != nil {
				t.Errorf("start: %v", err)
			}
		})
	}
}
