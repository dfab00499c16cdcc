package evidence

import (
	"regexp"
	"strings"
)

var dotnetFrame = regexp.MustCompile(`^\s*at ([^\s()]+)\(([^()]*)\)(?: in (.+):line (\d+))?$`)

// dotnetStack reads Exception.ToString. The inner exception's frames are
// printed first, up to "End of inner exception stack trace".
func dotnetStack(lines []string) []Frame {
	var frames []Frame
	for _, l := range lines {
		m := dotnetFrame.FindStringSubmatch(l)
		if m == nil || javaPlace.MatchString(m[2]) || m[2] == "Native Method" || m[2] == "Unknown Source" {
			continue
		}
		frames = append(frames, Frame{Function: m[1], File: m[3], Line: atoi(m[4]), InApp: dotnetInApp(m[1])})
	}
	return frames
}

func dotnetInApp(fn string) bool {
	return !hasAnyPrefix(fn, "System.", "Microsoft.", "Grpc.", "OpenTelemetry.", "OpenFeature.", "Npgsql.", "MySql.",
		"MongoDB.", "StackExchange.", "Newtonsoft.", "Polly.", "MassTransit.", "Serilog.", "NLog.", "Castle.", "AutoMapper.",
		"MediatR.", "Dapper.") && !strings.HasPrefix(fn, "lambda_method")
}
