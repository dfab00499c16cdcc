package rollout

import (
	"fmt"
	"time"

	"github.com/tidegate-io/tidegate/fault"
)

// Limits and defaults of a definition.
const (
	maxSteps       = 50
	maxLength      = 7 * 24 * time.Hour
	minWindow      = 2 * time.Second // the resolution of the golden signals
	DefaultHoldFor = 10 * time.Minute
	DefaultKeep    = 5 * time.Minute
)

// Validate reports the first thing that is wrong, as a fault of KindInvalid
// whose field is the path in the manifest.
func (r *Rollout) Validate() error {
	switch {
	case r.Name == "":
		return fault.InvalidField("metadata.name", "a rollout needs a name")
	case (r.Route == "") == (r.Flag == nil):
		return fault.InvalidField("spec", "what is rolled out? expected one of route and flag")
	case r.Flag != nil && (r.Flag.Key == "" || r.Flag.Variant == ""):
		return fault.InvalidField("spec.flag", "expected the key of a flag and the variant that callers get")
	case len(r.Steps) == 0 || len(r.Steps) > maxSteps:
		return fault.InvalidField("spec.steps", "expected 1 to %d steps, got %d", maxSteps, len(r.Steps))
	case r.HoldFor < 0 || r.HoldFor > maxLength:
		return fault.InvalidField("spec.holdFor", "expected between 0s and %s, got %s", maxLength, r.HoldFor)
	case r.Keep < 0 || r.Keep > maxLength:
		return fault.InvalidField("spec.keep", "expected between 0s and %s, got %s", maxLength, r.Keep)
	}
	last := 0.0
	for i, s := range r.Steps {
		path := fmt.Sprintf("spec.steps[%d]", i)
		if err := s.validate(path, r.Guardian); err != nil {
			return err
		}
		if s.Weight < last {
			return fault.InvalidField(path+".weight", "%g %% is less than the step before has; a rollout goes up, or back to nothing", s.Weight)
		}
		last = s.Weight
	}
	return nil
}

func (s Step) validate(path, guardian string) error {
	switch {
	case !(s.Weight >= 0 && s.Weight <= 100):
		return fault.InvalidField(path+".weight", "expected between 0%% and 100%%, got %v", s.Weight)
	case s.For < 0 || s.For > maxLength || s.For > 0 && s.For < minWindow:
		return fault.InvalidField(path+".for", "expected between %s and %s, got %s", minWindow, maxLength, s.For)
	case s.Pause < 0 || s.Pause > maxLength:
		return fault.InvalidField(path+".pause", "expected between 0s and %s, got %s", maxLength, s.Pause)
	case s.judged() && guardian == "":
		return fault.InvalidField(path, "who judges this step? spec.guardian is missing")
	case s.Weight == 0 && s.For > 0 && s.LoadTest == "":
		return fault.InvalidField(path+".for", "at 0%% nobody calls the candidate; give the step a loadTest")
	}
	return nil
}

func (r Rollout) withDefaults() Rollout {
	if r.HoldFor == 0 {
		r.HoldFor = DefaultHoldFor
	}
	if r.Keep == 0 {
		r.Keep = DefaultKeep
	}
	return r
}
