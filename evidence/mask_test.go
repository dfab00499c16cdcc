package evidence

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestMask(t *testing.T) {
	for in, want := range map[string]string{
		"": "",
		"PaymentService Fail Feature Flag Enabled":             "PaymentService Fail Feature Flag Enabled",
		`order 8123 of kim@example.org: card "4111…" refused`:  "order <n> of <email>: card <str> refused",
		"can't charge, don't retry":                            "can't charge, don't retry",
		"no key 'p-12' in 'cache'":                             "no key <str> in <str>",
		"dial tcp 10.0.3.7:50051: connect: connection refused": "dial tcp <ip>: connect: connection refused",
		"dial tcp [::1]:8080: refused":                         "dial tcp [<ip>]:<n>: refused",
		"user 3f2b8c1e-9d4a-4b6f-8a21-0c9e5d7f1a2b is gone":    "user <uuid> is gone",
		"trace 4bf92f3577b34da6a3ce929d0e0e4736":               "trace <id>",
		"card 12345678 declined":                               "card <id> declined",
		"card ecebbfec declined":                               "card <id> declined",
		"facade of a deadbeat":                                 "facade of a deadbeat",
		"card 1e234567 declined":                               "card <id> declined",
		"card 12ab34cd declined":                               "card <id> declined",
		"at 0xc000123abc":                                      "at <id>",
		"took 37ms of 1.5s, 99.9% done":                        "took <n>ms of <n>s, <n>% done",
		"HTTP/1.1 503 from http2 in base64":                    "HTTP/<n> <n> from http2 in base64",
		"order-20934 and ord_8F3K2L9Q":                         "order-<n> and ord_<id>",
		"2026-11-21T01:02:03.004Z boom":                        "<n>-<n>-<n>:<n>:<n>.<n> boom",
		"retry 3: failed.":                                     "retry <n>: failed.",
	} {
		if got := Mask(in); got != want {
			t.Errorf("Mask(%q)\n got %q\nwant %q", in, got, want)
		}
	}
}

func FuzzMask(f *testing.F) {
	f.Add(`order 8123 of kim@example.org: card "4111" refused after 37ms by 10.0.0.1:80`)
	f.Add("'''\"`0x::1 1.2.3.4.5@@::")
	f.Fuzz(func(t *testing.T, s string) {
		got := Mask(s)
		if utf8.ValidString(s) && !utf8.ValidString(got) {
			t.Fatalf("Mask(%q) = %q is not UTF-8", s, got)
		}
		for n := range 3 { // what differs only in a number is the same
			if a, b := Mask("order 1 "+s), Mask("order "+strings.Repeat("9", n+1)+" "+s); a != b && len(s) < maxMessage-10 {
				t.Fatalf("%q != %q", a, b)
			}
		}
	})
}
