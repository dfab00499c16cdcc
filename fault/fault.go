// Package fault classifies errors by what the caller can do about them.
//
// Domains return errors of a [Kind]; the edges translate kinds once, in one
// table each, to HTTP status codes and process exit codes. Context is added
// with fmt.Errorf("…: %w", err): the kind survives wrapping. Error strings
// are for people and are never compared.
//
//	return fault.Invalid("guardian %q: objective %q has no indicator", g, o)
//
// "No data" is not a fault: it is a verdict.
package fault

import (
	"errors"
	"fmt"
)

// Kind says what went wrong in terms of what the caller can do next.
type Kind uint8

const (
	// KindInternal is a defect or an unexpected condition of ours.
	KindInternal Kind = iota
	// KindInvalid: the input is wrong; sending it again unchanged is useless.
	KindInvalid
	// KindNotFound: the named thing does not exist.
	KindNotFound
	// KindConflict: the thing exists already or changed meanwhile.
	KindConflict
	// KindDenied: the caller may not do this.
	KindDenied
	// KindUnavailable: a passing condition (overload, a peer that is down);
	// retrying later is right.
	KindUnavailable
)

var kindNames = [...]string{"internal", "invalid", "not found", "conflict", "denied", "unavailable"}

// String returns the lower-case name of the kind.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "internal"
}

// Error is an error with a kind. Field, when set, names the place in the
// input that is wrong ("spec.objectives[2].fail").
type Error struct {
	Kind  Kind
	Field string
	Err   error
}

// Error returns the message, preceded by the field where there is one.
func (e *Error) Error() string {
	if e.Field != "" {
		return e.Field + ": " + e.Err.Error()
	}
	return e.Err.Error()
}

// Unwrap returns the underlying error.
func (e *Error) Unwrap() error { return e.Err }

func newf(k Kind, format string, args ...any) error {
	return &Error{Kind: k, Err: fmt.Errorf(format, args...)}
}

// Invalid returns an error of KindInvalid; arguments as for fmt.Errorf.
func Invalid(format string, args ...any) error { return newf(KindInvalid, format, args...) }

// InvalidField is Invalid with the place in the input that is wrong.
func InvalidField(field, format string, args ...any) error {
	return &Error{Kind: KindInvalid, Field: field, Err: fmt.Errorf(format, args...)}
}

// NotFound returns an error of KindNotFound.
func NotFound(format string, args ...any) error { return newf(KindNotFound, format, args...) }

// Conflict returns an error of KindConflict.
func Conflict(format string, args ...any) error { return newf(KindConflict, format, args...) }

// Denied returns an error of KindDenied.
func Denied(format string, args ...any) error { return newf(KindDenied, format, args...) }

// Unavailable returns an error of KindUnavailable.
func Unavailable(format string, args ...any) error { return newf(KindUnavailable, format, args...) }

// Internal returns an error of KindInternal.
func Internal(format string, args ...any) error { return newf(KindInternal, format, args...) }

// KindOf returns the kind of the outermost fault in err's chain, and
// KindInternal where there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindInternal
}

// Is reports whether err is a fault of kind k.
func Is(err error, k Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == k
}
