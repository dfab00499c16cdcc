package entity

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/fault"
)

func TestRules(t *testing.T) {
	cart := Entity{ID: "SERVICE-cart", Type: TypeService, Ref: Ref{Service: "cart", Environment: "staging", Version: "2"},
		Tags: map[string]string{"process.environment_variable.DEPLOYMENT_GROUP": "Staging", "k8s.namespace.name": "shop-staging", "team": "x"}}
	for _, tt := range []struct {
		name    string
		tags    []TagRule
		names   []NamingRule
		want    map[string]string // tags that are given
		display string
	}{
		{"an environment variable", []TagRule{{Key: "DeploymentGroup", Value: "{env.DEPLOYMENT_GROUP}"}}, nil, map[string]string{"DeploymentGroup": "Staging"}, "cart"},
		{"an attribute in a text", []TagRule{{Key: "space", Value: "ns:{k8s.namespace.name}"}}, nil, map[string]string{"space": "ns:shop-staging"}, "cart"},
		{"a tag without a value", []TagRule{{For: "service=cart", Key: "critical"}}, nil, map[string]string{"critical": ""}, "cart"},
		{"for others", []TagRule{{For: "service=web", Key: "critical"}}, []NamingRule{{For: "service=web", Name: "web"}}, nil, "cart"},
		{"what is missing gives no tag", []TagRule{{Key: "a", Value: "{nothing}"}, {Key: "b", Value: "{env.NOTHING}-{Service}"}}, nil, nil, "cart"},
		{"a later rule sees an earlier one", []TagRule{{Key: "group", Value: "{env.DEPLOYMENT_GROUP}"}, {For: "group=Staging", Key: "tested", Value: "{group}!"}}, nil,
			map[string]string{"group": "Staging", "tested": "Staging!"}, "cart"},
		{"the first for a key wins, over attributes too", []TagRule{{Key: "team", Value: "a"}, {Key: "team", Value: "b"}}, nil, map[string]string{"team": "a"}, "cart"},
		{"names", nil, []NamingRule{{Name: "{nothing}/{Service}"}, {For: "type=service", Name: "{Environment}/{Service}"}, {Name: "never"}}, nil, "staging/cart"},
		{"names see tags of rules", []TagRule{{Key: "stage", Value: "s"}}, []NamingRule{{Name: "{stage}: {Service} {Version} ({Type})"}},
			map[string]string{"stage": "s"}, "s: cart 2 (service)"},
		{"too long", []TagRule{{Key: "a", Value: strings.Repeat("x", 390) + "{k8s.namespace.name}"}}, nil, nil, "cart"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := NewRules(tt.tags, tt.names)
			if err != nil {
				t.Fatal(err)
			}
			got, effects := r.Apply(cart)
			want := map[string]string{"process.environment_variable.DEPLOYMENT_GROUP": "Staging", "k8s.namespace.name": "shop-staging", "team": "x"}
			given := 0
			for k, v := range tt.want {
				want[k], given = v, given+1
			}
			if d := cmp.Diff(want, got.Tags); d != "" || got.DisplayName() != tt.display {
				t.Errorf("named %q, tags %s", got.DisplayName(), d)
			}
			if got.Name != "" {
				given++
			}
			if len(effects) != given {
				t.Errorf("effects %+v, want %d", effects, given)
			}
			if got.Service != "cart" || len(cart.Tags) != 3 || cart.Tags["team"] != "x" {
				t.Errorf("changed %+v", cart)
			}
		})
	}
	if got, effects := (Rules{}).Apply(cart); effects != nil || !cmp.Equal(got, cart) {
		t.Errorf("no rules change %+v", got)
	}
}

func TestJoinedRulesKeepTheirOrder(t *testing.T) {
	a, err := NewRules([]TagRule{{Key: "k", Value: "a"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewRules([]TagRule{{Key: "k", Value: "b"}}, []NamingRule{{Name: "{k}"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := Join(a, b).Apply(Entity{}); got.Tags["k"] != "a" || got.Name != "a" {
		t.Errorf("%+v", got)
	}
}

func TestRulesThatAreWrong(t *testing.T) {
	for _, tt := range []struct {
		tag         TagRule
		field, want string
	}{
		{TagRule{}, "tags[1].key", "expected 1 to 200 characters"},
		{TagRule{Key: "k", For: "what("}, "tags[1].for", "position"},
		{TagRule{Key: "k", Value: "{Service"}, "tags[1].value", "never closed"},
		{TagRule{Key: "k", Value: "a}"}, "tags[1].value", "without an opening one"},
		{TagRule{Key: "k", Value: "{ }"}, "tags[1].value", "expected a name"},
		{TagRule{Key: "k", Value: strings.Repeat("x", 501)}, "tags[1].value", "at most 500"},
	} {
		_, err := NewRules([]TagRule{{Key: "fine"}, tt.tag}, nil)
		f, ok := err.(*fault.Error)
		if !ok || f.Kind != fault.KindInvalid || f.Field != tt.field || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v; want %s: %s", tt.tag, err, tt.field, tt.want)
		}
	}
	if _, err := NewRules(nil, []NamingRule{{}}); !fault.Is(err, fault.KindInvalid) {
		t.Errorf("a name without a template: %v", err)
	}
}

// Dynatrace makes tags of environment variables; files that select by them
// work before a rule is written.
func TestEnvironmentVariablesAreTags(t *testing.T) {
	e := Entity{Type: TypeService, Tags: map[string]string{"process.environment_variable.DEPLOYMENT_GROUP_NAME": "Staging"}}
	s, err := ParseSelector(`type(SERVICE),tag("[Environment]DEPLOYMENT_GROUP_NAME:Staging")`)
	if err != nil || !s.Matches(e) {
		t.Errorf("%v, %v", s, err)
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"", "{Service}", "a{b}c{d}", "{", "}", "{{}}", "{env.X}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tpl, err := parseTemplate(text)
		if err != nil {
			if !fault.Is(err, fault.KindInvalid) {
				t.Fatal(err)
			}
			return
		}
		if got, ok := tpl.fill(Entity{}); ok && (got != text || strings.Contains(text, "{")) {
			t.Fatalf("%q becomes %q of nothing", text, got)
		}
	})
}
