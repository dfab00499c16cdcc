package openfeature

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// details are what the script prints of an evaluation.
type details struct {
	Value     any    `json:"value"`
	Variant   string `json:"variant"`
	Reason    string `json:"reason"`
	ErrorCode string `json:"errorCode"`
}

type outcome struct {
	Failure   details        `json:"failure"`
	Banner    details        `json:"banner"`
	Insider   details        `json:"insider"`
	Ratio     float64        `json:"ratio"`
	Workers   float64        `json:"workers"`
	Theme     map[string]any `json:"theme"`
	Retired   bool           `json:"retired"`
	ByCode    bool           `json:"byCode"`
	Nothing   details        `json:"nothing"`
	WrongType details        `json:"wrongType"`
}

// TestJavaScriptClient evaluates with the JavaScript SDK, flagd's provider in
// both modes and the OFREP provider. It needs "npm ci" in js/, which
// "make test" does.
func TestJavaScriptClient(t *testing.T) {
	if _, err := os.Stat(filepath.Join("js", "node_modules")); err != nil {
		t.Skip("the JavaScript clients are not installed: npm ci in test/openfeature/js")
	}
	for _, mode := range []string{"rpc", "in-process", "ofrep"} {
		t.Run(mode, func(t *testing.T) {
			s := start(t)
			port := map[string]int{"rpc": s.evaluation.Port, "in-process": s.sync.Port, "ofrep": s.ofrep.Port}[mode]
			script := run(t, mode, port)
			var got outcome
			script.line(&got)
			if diff := cmp.Diff(expected, got); diff != "" {
				t.Error(diff)
			}
			s.set(t, "paymentServiceFailure", "on")
			var changed details
			script.line(&changed)
			if changed.Value != true || changed.Variant != "on" {
				t.Errorf("a runtime change did not arrive: %+v", changed)
			}
		})
	}
}

var expected = outcome{
	Failure: details{Value: false, Variant: "off", Reason: "STATIC"},
	Banner:  details{Value: "#00f", Variant: "blue", Reason: "DEFAULT"},
	Insider: details{Value: "#f00", Variant: "red", Reason: "TARGETING_MATCH"},
	Ratio:   0.5, Workers: 64, Theme: map[string]any{"ink": "white", "size": 12.0},
	Retired: true, ByCode: true,
	Nothing:   details{Value: true, Reason: "ERROR", ErrorCode: "FLAG_NOT_FOUND"},
	WrongType: details{Value: "x", Reason: "ERROR", ErrorCode: "TYPE_MISMATCH"},
}

// script is a running evaluate.mjs.
type script struct {
	t   *testing.T
	out *bufio.Scanner
}

func run(t *testing.T, mode string, port int) *script {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	cmd := exec.CommandContext(ctx, "node", "evaluate.mjs", mode, strconv.Itoa(port))
	cmd.Dir = "js"
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer cancel()
		if t.Failed() {
			cancel()
		}
		if err := cmd.Wait(); err != nil && !t.Failed() {
			t.Errorf("the script: %v", err)
		}
	})
	return &script{t, bufio.NewScanner(out)}
}

// line reads the next line of JSON that the script prints; providers may
// print other things.
func (s *script) line(v any) {
	s.t.Helper()
	for s.out.Scan() {
		if b := s.out.Bytes(); len(b) > 0 && b[0] == '{' && json.Unmarshal(b, v) == nil {
			return
		}
	}
	s.t.Fatalf("the script ended early: %v", s.out.Err())
}
