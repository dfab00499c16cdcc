package shop

import (
	"fmt"
	"runtime"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// recordException puts err on the span as OpenTelemetry's semantic
// conventions say (an event "exception" with type, message and stacktrace),
// with the stack of where err began. span.RecordError would give the stack of
// its own caller, which says nothing about the cause.
func recordException(span trace.Span, err error, callers []uintptr) {
	span.AddEvent("exception", trace.WithAttributes(
		attribute.String("exception.type", strings.TrimPrefix(fmt.Sprintf("%T", err), "*")),
		attribute.String("exception.message", err.Error()),
		attribute.String("exception.stacktrace", stackTrace(callers)),
	))
	span.SetStatus(codes.Error, err.Error())
}

// stackTrace writes a stack the way runtime/debug.Stack does.
func stackTrace(callers []uintptr) string {
	var b strings.Builder
	b.WriteString("goroutine 1 [running]:\n")
	frames := runtime.CallersFrames(callers)
	for {
		f, more := frames.Next()
		if f.Function != "" {
			fmt.Fprintf(&b, "%s(...)\n\t%s:%d +0x%x\n", f.Function, f.File, f.Line, f.PC-f.Entry)
		}
		if !more {
			return b.String()
		}
	}
}
