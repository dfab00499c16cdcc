package cause

import (
	"strings"
	"unicode"
)

// Role is how a series is read.
type Role string

// The roles.
const (
	RoleErrors    Role = "errors"    // failures: a count, a rate, or a share of the requests
	RoleSuccess   Role = "success"   // the share of requests that did not fail; in percent above 1.5
	RoleLatency   Role = "latency"   // how long requests take
	RoleTraffic   Role = "traffic"   // how much is asked of the place
	RoleResource  Role = "resource"  // how much of something is used or waited for
	RoleCapacity  Role = "capacity"  // a limit that somebody set
	RoleCountdown Role = "countdown" // the time until something ends
	RoleOther     Role = "other"
)

// The words by which a role is recognised, the more telling roles first.
var roleWords = []struct {
	role  Role
	words []string
}{
	{RoleCountdown, []string{"expiry", "expires", "expiration", "until", "remaining"}},
	{RoleCapacity, []string{"limit", "max", "quota", "replicas", "desired", "provisioned", "allocatable"}},
	{RoleResource, []string{"cpu", "memory", "mem", "heap", "rss", "disk", "inode", "inodes", "gc", "pool", "queue", "lag", "backlog", "fd", "fds",
		"descriptors", "threads", "goroutines", "connections", "saturation", "utilization", "usage", "cfs", "swap", "iowait", "io", "load",
		"capacity", "cache", "hit", "lock", "locks", "age", "pressure", "working", "inuse", "wait"}},
	{RoleSuccess, []string{"availability", "success", "successes", "successful", "uptime"}},
	{RoleErrors, []string{"error", "errors", "failed", "failure", "failures", "fault", "faults", "5xx", "4xx", "500", "503", "401", "403", "429",
		"exception", "exceptions", "panic", "panics", "timeouts", "rejected", "rejections", "dropped", "throttle", "throttled", "killed", "oom", "unauthorized", "retries"}},
	{RoleLatency, []string{"latency", "duration", "time", "p50", "p90", "p95", "p99", "ms", "seconds", "delay"}},
	{RoleTraffic, []string{"requests", "request", "rps", "qps", "calls", "queries", "traffic", "throughput", "rate", "per", "count", "events", "messages", "records"}},
}

// RoleOf tells from the words of its name how a series is read. Failures of a
// resource ("oom_killed", "throttle ratio") are failures, not usage.
func RoleOf(metric, unit string) Role {
	have := map[string]bool{}
	for _, w := range split(metric) {
		have[w] = true
	}
	ratio := have["ratio"] || have["total"] || have["errors"] || have["error"]
	for _, r := range roleWords {
		for _, w := range r.words {
			if !have[w] {
				continue
			}
			if r.role == RoleResource && ratio && anyOf(have, roleWords[4].words) {
				return RoleErrors
			}
			return r.role
		}
	}
	switch strings.ToLower(unit) {
	case "s", "ms", "seconds", "milliseconds":
		return RoleLatency
	case "by", "bytes":
		return RoleResource
	}
	return RoleOther
}

func anyOf(have map[string]bool, words []string) bool {
	for _, w := range words {
		if have[w] {
			return true
		}
	}
	return false
}

// split cuts a name or a text into lower-case words, at anything that is not a
// letter or a digit and within camelCase.
func split(text string) []string {
	var out []string
	var word []rune
	flush := func() {
		if len(word) > 0 {
			out = append(out, strings.ToLower(string(word)))
			word = word[:0]
		}
	}
	runes := []rune(text)
	for i, r := range runes {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			flush()
			continue
		case unicode.IsUpper(r) && i > 0 && (unicode.IsLower(runes[i-1]) ||
			unicode.IsUpper(runes[i-1]) && i+1 < len(runes) && unicode.IsLower(runes[i+1])):
			flush()
		}
		word = append(word, r)
	}
	flush()
	return out
}
