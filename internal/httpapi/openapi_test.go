package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
)

// TestOpenAPI: every operation registers, has an id of its own, and the
// document names every schema it refers to.
func TestOpenAPI(t *testing.T) {
	api := Register(http.NewServeMux(), Config{Stream: NewStream("test")})
	raw, err := json.Marshal(api.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for path, item := range api.OpenAPI().Paths {
		if !strings.HasPrefix(path, "/v1/") {
			t.Errorf("%s is outside /v1", path)
		}
		for method, op := range map[string]*opID{"GET": idOf(item.Get), "POST": idOf(item.Post), "DELETE": idOf(item.Delete)} {
			if op == nil {
				continue
			}
			if other, dup := ids[op.id]; dup {
				t.Errorf("operation id %s: %s %s and %s", op.id, method, path, other)
			}
			ids[op.id] = method + " " + path
		}
	}
	if len(ids) < 35 {
		t.Errorf("only %d operations", len(ids))
	}
	schemas := api.OpenAPI().Components.Schemas.Map()
	for _, part := range strings.Split(string(raw), `"#/components/schemas/`)[1:] {
		if name, _, _ := strings.Cut(part, `"`); schemas[name] == nil {
			t.Errorf("schema %s is referred to and not there", name)
		}
	}
}

type opID struct{ id string }

func idOf(op *huma.Operation) *opID {
	if op == nil {
		return nil
	}
	return &opID{op.OperationID}
}

// TestParameters: every parameter in a path is declared, which fails for
// parameters in embedded structs that are not exported.
func TestParameters(t *testing.T) {
	api := Register(http.NewServeMux(), Config{Stream: NewStream("test")})
	for path, item := range api.OpenAPI().Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Delete} {
			if op == nil {
				continue
			}
			n := 0
			for _, p := range op.Parameters {
				if p.In == "path" {
					n++
				}
			}
			if want := strings.Count(path, "{"); n != want {
				t.Errorf("%s %s: %d of %d path parameters are declared", op.Method, path, n, want)
			}
		}
	}
}
