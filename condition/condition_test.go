package condition

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/fault"
)

type place struct {
	Service string `json:"service"`
}

type thing struct {
	place
	Kind  string            `json:"kind"`
	Inner *thing            `json:"inner"`
	Tags  map[string]string `json:"tags"`
	Many  []thing           `json:"many"`
}

var (
	words  = NewVocabulary("thing", "other")
	fields = Fields(map[string]reflect.Type{"thing": reflect.TypeFor[thing]()}, map[string][]string{"thing.inner": {"derived"}})
)

func TestHolds(t *testing.T) {
	r, err := RecordOf([]byte(`{"kind":"flag","service":"checkout","n":3,"tags":{"team":"shop"},"inner":{"kind":"x"}}`))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		`thing.kind == "flag" && thing.service == "checkout"`:  true,
		`thing.inner.kind == "x" && thing.tags.team == "shop"`: true,
		`thing.tags.nothing == ""`:                             true, // a missing field is empty
		`thing.inner.inner == "x"`:                             false,
		`other.anything == "x"`:                                false, // its fields are not known
		`thing.many == "" || size(thing.many) > 0`:             true,
	} {
		e, err := words.Condition(text, fields)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := e.Holds(t.Context(), map[string]Record{"thing": r, "other": {}}); err != nil || got != want {
			t.Errorf("%s is %v (%v), want %v", text, got, err, want)
		}
	}
}

// What JSON leaves out is there, as its type has it.
func TestRecordFrom(t *testing.T) {
	type value struct {
		Name  string            `json:"name,omitempty"`
		Count int               `json:"count,omitempty"`
		Share float64           `json:"share,omitempty"`
		Yes   bool              `json:"yes,omitempty"`
		Tags  map[string]string `json:"tags,omitempty"`
		List  []thing           `json:"list,omitempty"`
		Inner *thing            `json:"inner,omitempty"`
		At    time.Time         `json:"at,omitzero"`
	}
	r, err := RecordFrom(value{})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		`thing.name == "" && !has(thing.name)`:                              true,
		`thing.count + 1 == 1 && thing.share < 0.5`:                         true,
		`thing.yes || thing.tags.team == "shop"`:                            false,
		`thing.inner.kind == "" && thing.inner.inner.tags.x == ""`:          true,
		`thing.list.exists(x, x.kind == "a") || size(thing.inner.many) > 0`: false,
		`thing.at == ""`: true,
	} {
		e, err := words.Condition(text, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := e.Holds(t.Context(), map[string]Record{"thing": r, "other": {}}); err != nil || got != want {
			t.Errorf("%s is %v (%v), want %v", text, got, err, want)
		}
	}
}

func TestMistakes(t *testing.T) {
	for text, want := range map[string]string{
		``:                               "empty",
		`thing.kind ==`:                  "column ",
		`thin.kind == "x"`:               `unknown name "thin"; did you mean "thing"?`,
		`thing.knd == "x"`:               `column 6: thing has no field "knd"; did you mean "kind"?`,
		`thing["servce"] == "x"`:         `did you mean "service"?`,
		`thing.inner.derivd`:             `did you mean "derived"?`,
		`"a" + "b"`:                      "expected true or false",
		strings.Repeat("a", 5000):        "size",
		strings.Repeat("(", 80) + "1==1": "column",
	} {
		_, err := words.Condition(text, fields)
		if !fault.Is(err, fault.KindInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: error is %v, want it to contain %q", text, err, want)
		}
	}
}

// An expression that would take forever is ended.
func TestCost(t *testing.T) {
	e, err := words.Condition(`thing.many.all(a, thing.many.all(b, thing.many.all(c, a + b + c >= 0)))`, nil)
	if err != nil {
		t.Fatal(err)
	}
	many := make([]any, 1000)
	for i := range many {
		many[i] = int64(i)
	}
	if _, err := e.Holds(t.Context(), map[string]Record{"thing": {"many": many}, "other": {}}); !fault.Is(err, fault.KindInvalid) {
		t.Errorf("error is %v, want invalid", err)
	}
}

func FuzzCondition(f *testing.F) {
	for _, s := range []string{`thing.kind == "flag"`, `has(thing.tags.a) && other["x y"] != ""`, `thing.inner.inner.kind.matches("^a")`, `[1,2].exists(x, x == thing.n)`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := words.Condition(text, fields)
		if err != nil {
			if !fault.Is(err, fault.KindInvalid) {
				t.Errorf("%q: %v is no fault of the writer", text, err)
			}
			return
		}
		if _, err := e.Holds(t.Context(), map[string]Record{"thing": {"kind": "flag"}, "other": {}}); err != nil && !fault.Is(err, fault.KindInvalid) {
			t.Errorf("%q: %v", text, err)
		}
	})
}
