package evidence

import (
	"regexp"
	"strings"
)

var (
	javaFrame = regexp.MustCompile(`^\s*at (?:[\w.$-]*/{1,2}(?:[\w.@-]+/)?)?([\w.$<>]+)\(([^()]*)\)`)
	javaPlace = regexp.MustCompile(`^([^:()]+\.(?:java|kt|scala|groovy|clj))(?::(\d+))?$`)
)

// javaStack reads what Throwable.printStackTrace prints. The sections after
// "Caused by:" are put first: the last of them is where it began.
func javaStack(lines []string) []Frame {
	sections := [][]Frame{nil}
	for _, l := range lines {
		if strings.HasPrefix(strings.TrimSpace(l), "Caused by:") && len(sections) < maxFrames {
			sections = append(sections, nil)
			continue
		}
		m := javaFrame.FindStringSubmatch(l)
		if m == nil {
			continue
		}
		f := Frame{Function: m[1], InApp: javaInApp(m[1])}
		switch place := javaPlace.FindStringSubmatch(m[2]); {
		case place != nil:
			f.File, f.Line = place[1], atoi(place[2])
		case m[2] != "Native Method" && m[2] != "Unknown Source":
			continue // another language's arguments
		}
		last := len(sections) - 1
		sections[last] = append(sections[last], f)
	}
	var frames []Frame
	for i := len(sections) - 1; i >= 0; i-- {
		frames = append(frames, sections[i]...)
	}
	return frames
}

func javaInApp(fn string) bool {
	return !hasAnyPrefix(fn, "java.", "javax.", "jakarta.", "jdk.", "sun.", "com.sun.", "kotlin.", "kotlinx.", "scala.",
		"groovy.", "clojure.", "org.springframework.", "org.apache.", "org.hibernate.", "org.eclipse.", "org.jboss.",
		"org.junit.", "org.postgresql.", "org.slf4j.", "org.aspectj.", "io.grpc.", "io.netty.", "io.opentelemetry.",
		"io.micrometer.", "io.undertow.", "io.vertx.", "io.quarkus.", "io.reactivex.", "io.lettuce.", "reactor.",
		"com.fasterxml.", "com.google.", "com.zaxxer.", "com.mysql.", "com.mongodb.", "ch.qos.", "okhttp3.",
		"net.bytebuddy.", "redis.clients.", "dev.openfeature.")
}
