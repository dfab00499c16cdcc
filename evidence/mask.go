package evidence

import (
	"net/netip"
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxMessage is how much of a message is looked at.
const maxMessage = 2048

var (
	// An apostrophe inside a word does not open a quotation, hence the \B.
	quoted   = regexp.MustCompile(`"[^"\n]*"|\B'[^'\n]*'|` + "`[^`\n]*`")
	word     = regexp.MustCompile(`[0-9A-Za-z_.:@%+\-]*[0-9@][0-9A-Za-z_.:@%+\-]*`)
	segment  = regexp.MustCompile(`[0-9A-Za-z]+`)
	email    = regexp.MustCompile(`^[^@\s]+@[^@\s]+\.[A-Za-z]{2,}$`)
	uuid     = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)
	number   = regexp.MustCompile(`^[+-]?\d+(?:[.,:]\d+)*(?:[eE][+-]?\d+)?(ns|µs|us|ms|s|m|h|d|%|[kKMGT]?i?B)?$`)
	prefixed = regexp.MustCompile(`^0[xX][0-9A-Fa-f]+$`)
	letters  = regexp.MustCompile(`\b(?:[a-f]{8,}|[A-F]{8,})\b`) // an id without a digit; no word is
	hexa     = regexp.MustCompile(`^[0-9A-Fa-f]{8,}$`)
)

// Mask replaces what differs from one occurrence of a message to the next:
// quotations, e-mail and IP addresses, UUIDs, ids (hexadecimal, long, or mixing
// letters and digits), and numbers. What is left identifies the message:
//
//	order 8123 of kim@example.org: card "4111…" refused after 37ms
//	order <n> of <email>: card <str> refused after <n>ms
func Mask(message string) string {
	message = clip(message, maxMessage)
	message = quoted.ReplaceAllString(message, "<str>")
	return letters.ReplaceAllString(word.ReplaceAllStringFunc(message, maskWord), "<id>")
}

func maskWord(w string) string {
	body := strings.TrimRight(w, ".:")
	tail := w[len(body):]
	switch {
	case email.MatchString(body):
		return "<email>" + tail
	case uuid.MatchString(body):
		return "<uuid>" + tail
	case isAddress(body):
		return "<ip>" + tail
	}
	if m := number.FindStringSubmatch(body); m != nil && !hexa.MatchString(body) {
		return "<n>" + m[1] + tail
	}
	return segment.ReplaceAllStringFunc(body, maskSegment) + tail
}

func isAddress(s string) bool {
	if strings.Count(s, ".") != 3 && strings.Count(s, ":") < 2 {
		return false
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	_, err := netip.ParseAddrPort(s)
	return err == nil
}

// maskSegment masks a run of letters and digits. Words with a digit or two in
// them ("http2", "base64") are words. A hexadecimal id may by chance have no
// letter, or look like 1e234567: eight digits or more are an id like any other,
// so that one failure does not fall into two groups.
func maskSegment(s string) string {
	digits := 0
	for i := range len(s) {
		if s[i] >= '0' && s[i] <= '9' {
			digits++
		}
	}
	switch {
	case digits == 0:
		return s
	case prefixed.MatchString(s), hexa.MatchString(s), len(s) >= 8 && digits >= 2 && digits < len(s):
		return "<id>"
	case s[0] >= '0' && s[0] <= '9':
		return "<n>"
	}
	return s
}

// clip cuts a string to at most n bytes, not within a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
