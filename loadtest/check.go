package loadtest

import (
	"net/url"
	"time"

	"github.com/tidegate-io/tidegate/fault"
)

// Limits of a test.
const (
	MaxRate     = 50_000
	MaxDuration = 24 * time.Hour
	maxStages   = 100
	maxInFlight = 100_000
	maxBody     = 1 << 20
)

// Defaults of a test.
const (
	DefaultTimeout     = 10 * time.Second
	DefaultMaxInFlight = 1000
)

// Check reports what is wrong with the definition, as a fault of KindInvalid
// that names the field.
func (t *Test) Check() error {
	switch {
	case t.Name == "":
		return fault.InvalidField("name", "is required")
	case (t.Request == nil) == (t.Command == nil):
		return fault.InvalidField("request", "exactly one of request and command is required")
	case t.Duration < 0 || t.Duration > MaxDuration:
		return fault.InvalidField("duration", "must be between 0 and %s", MaxDuration)
	case t.Timeout < 0:
		return fault.InvalidField("timeout", "must not be negative")
	case t.MaxInFlight < 0 || t.MaxInFlight > maxInFlight:
		return fault.InvalidField("maxInFlight", "must be between 0 and %d", maxInFlight)
	case t.Command != nil:
		return t.Command.check()
	}
	if err := t.Request.check(); err != nil {
		return err
	}
	return t.checkStages()
}

func (c *Command) check() error {
	if len(c.Args) == 0 || c.Args[0] == "" {
		return fault.InvalidField("command.args", "the program to run is required")
	}
	return nil
}

func (r *Request) check() error {
	u, err := url.Parse(r.URL)
	switch {
	case err != nil:
		return fault.InvalidField("request.url", "%w", err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fault.InvalidField("request.url", "%q is not an http or https URL", r.URL)
	case len(r.Body) > maxBody:
		return fault.InvalidField("request.body", "is larger than %d bytes", maxBody)
	}
	return nil
}

func (t *Test) checkStages() error {
	if len(t.Stages) > maxStages {
		return fault.InvalidField("stages", "there are %d, at most %d are allowed", len(t.Stages), maxStages)
	}
	for _, s := range t.Stages {
		switch {
		case !(s.To >= 0 && s.To <= MaxRate): // NaN too
			return fault.InvalidField("stages", "the rate %g/s is not between 0 and %d", s.To, MaxRate)
		case s.Over < 0 || s.Over > MaxDuration:
			return fault.InvalidField("stages", "the time %s is not between 0 and %s", s.Over, MaxDuration)
		}
	}
	sched := NewSchedule(t.Stages, t.Duration)
	if sched.Length() > MaxDuration {
		return fault.InvalidField("stages", "take %s, at most %s is allowed", sched.Length(), MaxDuration)
	}
	if sched.Total() == 0 {
		return fault.InvalidField("stages", "send no request at all")
	}
	return nil
}

// Tool names what does the work: "tidegate" for the built-in generator, the
// program otherwise.
func (t *Test) Tool() string {
	if t.Command != nil && len(t.Command.Args) > 0 {
		return baseName(t.Command.Args[0])
	}
	return "tidegate"
}

func baseName(path string) string {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' || path[i] == '\\' {
			return path[i+1:]
		}
	}
	return path
}
