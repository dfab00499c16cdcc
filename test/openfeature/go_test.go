package openfeature

import (
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	provider "github.com/open-feature/go-sdk-contrib/providers/flagd/pkg"
	"github.com/open-feature/go-sdk-contrib/providers/ofrep"
	of "github.com/open-feature/go-sdk/openfeature"
)

// TestGoClient evaluates with the Go SDK: with flagd's provider in both of its
// modes, and with the OFREP provider.
func TestGoClient(t *testing.T) {
	for _, mode := range []string{"rpc", "in-process", "ofrep"} {
		t.Run(mode, func(t *testing.T) {
			s := start(t)
			client := goClient(t, s, mode, "")
			evaluateAll(t, client)
			// In process, the provider itself turns a disabled boolean into
			// false; whoever evaluates on the server gets the code's value.
			if v, err := client.BooleanValueDetails(t.Context(), "retired", true, of.EvaluationContext{}); mode == "rpc" && !v.Value {
				t.Errorf("disabled: %v instead of the code's true (%v)", v.Value, err)
			}
			seeChange(t, s, client)
		})
	}
}

func TestGoClientSelectsASet(t *testing.T) {
	s := start(t)
	client := goClient(t, s, "in-process", "flagSetId=shop")
	if v, err := client.IntValue(t.Context(), "workers", 1, of.EvaluationContext{}); err != nil || v != 64 {
		t.Errorf("workers = %d, %v", v, err)
	}
}

func goClient(t *testing.T, s *server, mode, selector string) *of.Client {
	t.Helper()
	if mode == "ofrep" {
		return clientOf(t, ofrep.NewProvider("http://"+s.ofrep.String()))
	}
	options := []provider.ProviderOption{provider.WithHost("127.0.0.1"), provider.WithoutCache(), provider.WithSelector(selector), provider.WithLogger(logr.Discard())}
	if mode == "rpc" {
		options = append(options, provider.WithRPCResolver(), provider.WithPort(uint16(s.evaluation.Port)))
	} else {
		options = append(options, provider.WithInProcessResolver(), provider.WithPort(uint16(s.sync.Port)))
	}
	p, err := provider.NewProvider(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Shutdown)
	return clientOf(t, p)
}

func clientOf(t *testing.T, p of.FeatureProvider) *of.Client {
	t.Helper()
	if err := of.SetNamedProviderAndWait(t.Name(), p); err != nil {
		t.Fatal(err)
	}
	return of.NewClient(t.Name())
}

func evaluateAll(t *testing.T, client *of.Client) {
	t.Helper()
	ctx := t.Context()
	anybody := of.NewEvaluationContext("user-1", map[string]any{"email": "a@b.c"})
	insider := of.NewEvaluationContext("user-2", map[string]any{"email": "x@example.com"})

	failure, err := client.BooleanValueDetails(ctx, "paymentServiceFailure", true, anybody)
	if err != nil || failure.Value || failure.Variant != "off" || failure.Reason != of.StaticReason {
		t.Errorf("boolean: %+v, %v", failure, err)
	}
	if set, err := failure.FlagMetadata.GetString("flagSetId"); err != nil || set != "shop" {
		t.Errorf("metadata: %v", failure.FlagMetadata)
	}
	if v, err := client.StringValueDetails(ctx, "banner", "", anybody); err != nil || v.Value != "#00f" || v.Reason != of.DefaultReason {
		t.Errorf("string: %+v, %v", v, err)
	}
	if v, err := client.StringValueDetails(ctx, "banner", "", insider); err != nil || v.Value != "#f00" || v.Reason != of.TargetingMatchReason {
		t.Errorf("string with targeting: %+v, %v", v, err)
	}
	if v, err := client.FloatValue(ctx, "ratio", 0, anybody); err != nil || v != 0.5 {
		t.Errorf("float: %v, %v", v, err)
	}
	if v, err := client.IntValue(ctx, "workers", 0, anybody); err != nil || v != 64 {
		t.Errorf("int: %v, %v", v, err)
	}
	theme, err := client.ObjectValue(ctx, "theme", nil, anybody)
	if diff := cmp.Diff(map[string]any{"ink": "white", "size": 12.0}, theme); err != nil || diff != "" {
		t.Errorf("object: %v, %s", err, diff)
	}
	for _, def := range []bool{true, false} {
		if v, err := client.BooleanValueDetails(ctx, "byCode", def, anybody); v.Value != def {
			t.Errorf("no default variant: %v instead of the code's %v (%v)", v.Value, def, err)
		}
	}
	if v, err := client.BooleanValueDetails(ctx, "nothing", true, anybody); err == nil || !v.Value || v.ErrorCode != of.FlagNotFoundCode {
		t.Errorf("unknown flag: %+v, %v", v, err)
	}
	if v, err := client.StringValueDetails(ctx, "workers", "x", anybody); err == nil || v.Value != "x" || v.ErrorCode != of.TypeMismatchCode {
		t.Errorf("wrong type: %+v, %v", v, err)
	}
}

func seeChange(t *testing.T, s *server, client *of.Client) {
	t.Helper()
	s.set(t, "paymentServiceFailure", "on")
	deadline := time.Now().Add(10 * time.Second)
	for {
		v, err := client.BooleanValue(t.Context(), "paymentServiceFailure", false, of.EvaluationContext{})
		if err == nil && v {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("a runtime change did not arrive: %v, %v", v, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
