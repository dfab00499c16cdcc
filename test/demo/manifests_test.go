// Package demo tests what the demo and the product have to agree on.
package demo

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tidegate-io/tidegate/demo/release/manifests"
	"github.com/tidegate-io/tidegate/demo/shop"
	"github.com/tidegate-io/tidegate/demo/stage"
	"github.com/tidegate-io/tidegate/internal/manifest"
)

// The demo's manifests are read by people as examples: they must be right, and
// complete with only SHOP_URL set.
func TestManifestsAreRight(t *testing.T) {
	files, err := fs.Glob(manifests.Files, "*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	env := func(name string) (string, bool) { return "http://127.0.0.1:8080", name == "SHOP_URL" }
	seen := map[string]manifest.Object{}
	for _, name := range files {
		raw, err := manifests.Files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if raw, err = manifest.Inline(raw, fstest.MapFS{"order.json": {Data: stage.Order}}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		objects, err := manifest.Parse(name, raw, manifest.Options{Env: env})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			seen[o.ID()] = o
			if l, ok := o.Spec.(*manifest.LoadTest); ok {
				def := l.Definition(o.Name(), nil)
				if err := def.Check(); err != nil {
					t.Errorf("%s: %v", o.ID(), err)
				}
				if !strings.Contains(def.Request.Body, `"card"`) {
					t.Errorf("%s: the order is not in the request: %q", o.ID(), def.Request.Body)
				}
			}
		}
	}
	for _, id := range []string{"Guardian/checkout", "Workflow/judge-every-load-test", "FlagSet/shop",
		"LoadTest/training", "LoadTest/acceptance", "LoadTest/verification", "LoadTest/customers"} {
		if _, ok := seen[id]; !ok {
			t.Errorf("the scenario needs %s", id)
		}
	}
	flags := seen["FlagSet/shop"].Spec.(*manifest.FlagSet).Flags
	for _, key := range []string{shop.FlagPaymentFailure, shop.FlagCatalogLatency} {
		if _, ok := flags[key]; !ok {
			t.Errorf("the shop reads the flag %s, which is not defined", key)
		}
	}
}
