package evidence

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

func TestParseStack(t *testing.T) {
	for name, stack := range stacks(t) {
		want, isFrames := stacks(t)[name+".frames"]
		if !isFrames {
			continue
		}
		t.Run(name, func(t *testing.T) {
			for _, text := range []string{stack, strings.ReplaceAll(stack, "\n", "\r\n")} {
				if diff := cmp.Diff(want, printFrames(ParseStack(text))); diff != "" {
					t.Errorf("frames (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func stacks(t testing.TB) map[string]string {
	a, err := txtar.ParseFile("testdata/stacks.txtar")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range a.Files {
		out[f.Name] = string(f.Data)
	}
	return out
}

func printFrames(frames []Frame) string {
	var b strings.Builder
	for _, f := range frames {
		mark := " "
		if f.InApp {
			mark = "*"
		}
		fmt.Fprintf(&b, "%s %s %s %d\n", mark, f.Function, f.File, f.Line)
	}
	return b.String()
}

func TestTopInApp(t *testing.T) {
	if f := TopInApp(ParseStack(stacks(t)["go-recorderror-trimpath"])); f == nil || f.Line != 61 {
		t.Errorf("got %+v, want the frame below the telemetry SDK's", f)
	}
	if f := TopInApp(nil); f != nil {
		t.Errorf("got %+v of no frames", f)
	}
}

func TestStackIsBounded(t *testing.T) {
	endless := strings.Repeat("main.f()\n\t/app/main.go:1 +0x1\n", 100_000)
	if n := len(ParseStack(endless)); n != maxFrames {
		t.Errorf("%d frames, want %d", n, maxFrames)
	}
}

func FuzzParseStack(f *testing.F) {
	for _, s := range stacks(f) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		frames := ParseStack(s)
		if len(frames) > maxFrames {
			t.Fatalf("%d frames", len(frames))
		}
		for _, fr := range frames {
			if fr.Function == "" || fr.Line < 0 {
				t.Fatalf("%+v", fr)
			}
		}
	})
}
