package entity

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/fault"
)

var checkout = Entity{
	ID: "SERVICE-checkout", Type: TypeService,
	Ref:  Ref{Service: "CheckoutService", Environment: "dev", Version: "2.1"},
	Tags: map[string]string{"team": "shop", "DeploymentGroup": "Staging", "canary": "", "a:b": "c"},
}

func TestSelectorMatches(t *testing.T) {
	tests := []struct {
		selector string
		want     bool
	}{
		{"", true},
		{"service=CheckoutService", true},
		{"service=checkoutservice", false},
		{"service=CheckoutService,environment=dev,team=shop", true},
		{"service=CheckoutService, environment=prod", false},
		{"version=2.1,type=SERVICE,id=SERVICE-checkout", true},
		{`team="shop"`, true},
		{"team=other", false},
		{"missing=x", false},
		{"type(SERVICE),entityName.equals(checkoutservice)", true},
		{`type("service"),entityName.equals("checkoutservice")`, true},
		{"type(HOST)", false},
		{"type(PROCESS_GROUP_INSTANCE)", false},
		{"type(SOMETHING_ELSE)", false},
		{`entityName("outserv")`, true},
		{`entityName.contains(outserv)`, true},
		{`entityName.equals("outserv")`, false},
		{`entityName.startsWith(check)`, true},
		{`entityName.startsWith("service")`, false},
		{`entityName.in("cart","CHECKOUTSERVICE")`, true},
		{`caseSensitive(entityName.equals("checkoutservice"))`, false},
		{`caseSensitive(entityName.equals("CheckoutService"))`, true},
		{`not(entityName("cart"))`, true},
		{`type(SERVICE),not(entityName(checkout))`, false},
		{`tag("DeploymentGroup:Staging")`, true},
		{`tag(DeploymentGroup:Staging)`, true},
		{`tag("DeploymentGroup:staging")`, false},
		{`tag("[AWS]team:shop")`, true},
		{`tag("canary")`, true},
		{`tag("team")`, true},
		{`tag("nothing")`, false},
		{`tag("a~:b:c")`, true},
		{`tag("environment:dev")`, true},
		{`entityId("SERVICE-checkout","SERVICE-cart")`, true},
		{`entityId(SERVICE-cart)`, false},
	}
	for _, tt := range tests {
		s, err := ParseSelector(tt.selector)
		if err != nil {
			t.Errorf("%s: %v", tt.selector, err)
			continue
		}
		if got := s.Matches(checkout); got != tt.want {
			t.Errorf("%s: matches = %v, want %v", tt.selector, got, tt.want)
		}
		again, err := ParseSelector(s.String())
		if err != nil || again.String() != s.String() {
			t.Errorf("%s: prints as %q, which reads as %q (%v)", tt.selector, s, again, err)
		}
		if got := again.Matches(checkout); got != tt.want {
			t.Errorf("%s: after printing as %q: matches = %v, want %v", tt.selector, s, got, tt.want)
		}
	}
}

func TestSelectorRef(t *testing.T) {
	tests := map[string]Ref{
		"":                           {},
		"service=cart,version=1":     {Service: "cart", Version: "1"},
		"service=cart,environment=x": {Service: "cart", Environment: "x"},
		"type(SERVICE),entityName.equals(paymentservice)": {Service: "paymentservice"},
		`entityName("payment")`:                           {},
		`entityName.in("a","b")`:                          {},
		`not(entityName.equals("a"))`:                     {},
		"team=shop":                                       {},
	}
	for text, want := range tests {
		s, err := ParseSelector(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, s.Ref()); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}

func TestParseSelectorErrors(t *testing.T) {
	tests := []struct{ selector, want string }{
		{"checkout", `position 9: expected '=' or '(' after "checkout", found the end`},
		{"service=", `position 9: expected a value for "service", found the end`},
		{"service=a,,", "position 11: expected a criterion"},
		{"service=a environment=b", "position 22: expected ',' or the end, found '='"},
		{"type(SERVICE", "position 13: expected ',' or ')', found the end"},
		{"type(SERVICE))", "position 14: expected ',' or the end, found ')'"},
		{"type(SERVICE,HOST)", "position 1: type takes one value, found 2"},
		{`entityName("x)`, "position 12: the quote that opens here is never closed"},
		{"entityName()", "position 12: expected a value, found ')'"},
		{`entityName("")`, "expected a value that is not empty"},
		{"entityNmae(x)", `position 1: unknown criterion "entityNmae", expected type, entityId`},
		{"ü=1,entityNmae(x)", `position 5: unknown criterion`},
		{"not(service=x)", "not takes a criterion such as"},
		{"caseSensitive(tag(x))", "caseSensitive takes a criterion on entityName"},
		{strings.Repeat("not(", 10) + "tag(x)" + strings.Repeat(")", 10), "nested more than 4 deep"},
		{strings.Repeat("a=b,", 60) + "a=b", "more than 50 criteria"},
		{strings.Repeat("a", 3000), "at most 2000"},
		{"a=\xff", "not valid UTF-8"},
	}
	for _, tt := range tests {
		_, err := ParseSelector(tt.selector)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: error %v, want it to contain %q", tt.selector, err, tt.want)
			continue
		}
		if !fault.Is(err, fault.KindInvalid) {
			t.Errorf("%q: error is of kind %v", tt.selector, fault.KindOf(err))
		}
	}
}

func FuzzParseSelector(f *testing.F) {
	for _, s := range []string{
		"", "service=checkout,environment=dev,team=shop",
		`type(SERVICE),entityName.equals(paymentservice)`,
		`entityName("x"),tag("[AWS]k~:x:v"),entityId("a","b")`,
		`not(caseSensitive(entityName.startsWith("~"~~")))`, "a=\"b,c\"", "tag([x)", "tag([]x)", `tag(":")`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSelector(text)
		if err != nil {
			if !fault.Is(err, fault.KindInvalid) {
				t.Fatalf("%q: kind %v", text, fault.KindOf(err))
			}
			return
		}
		printed := s.String()
		again, err := ParseSelector(printed)
		if err != nil {
			// Quoting may lengthen a selector beyond the limit; nothing else may fail.
			if len(printed) > maxSelectorLength {
				return
			}
			t.Fatalf("%q prints as %q: %v", text, printed, err)
		}
		if again.String() != printed || again.Matches(checkout) != s.Matches(checkout) {
			t.Fatalf("%q prints as %q, which means %q", text, printed, again)
		}
	})
}

func BenchmarkSelectorMatches(b *testing.B) {
	s, err := ParseSelector("service=CheckoutService,environment=dev,team=shop")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if !s.Matches(checkout) {
			b.Fatal("does not match")
		}
	}
}
