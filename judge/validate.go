package judge

import (
	"errors"
	"fmt"
	"math"
)

// Validate checks the objective for what no sample could repair. The error
// says what was expected.
func (o *Objective) Validate() error {
	set := 0
	for _, is := range []bool{o.Threshold != nil, o.Adaptive != nil, o.Comparison != nil, o.Watch != nil} {
		if is {
			set++
		}
	}
	switch {
	case set > 1:
		return errors.New("at most one of threshold, adaptive, comparison and watch can be set")
	case o.Quantile != 0 && !(o.Quantile > 0 && o.Quantile < 1):
		return fmt.Errorf("quantile is %v; it must be between 0 and 1, without them", o.Quantile)
	case o.Quantile != 0 && o.Mean:
		return errors.New("either quantile or mean can be set")
	case !(o.Weight >= 0) || math.IsInf(o.Weight, 1):
		return fmt.Errorf("weight is %v; it must be positive", o.Weight)
	}
	switch o.Worse {
	case "", WorseHigher, WorseLower, WorseEither:
	default:
		return fmt.Errorf("worse is %q; it must be higher, lower or either", string(o.Worse))
	}
	switch o.Role {
	case "", RoleRequired, RoleKey, RoleInfo:
	default:
		return fmt.Errorf("role is %q; it must be required, key or info", string(o.Role))
	}
	return o.validateCriterion()
}

func (o *Objective) validateCriterion() error {
	switch {
	case o.Threshold != nil:
		return o.Threshold.validate()
	case o.Adaptive != nil:
		return validateTolerance(o.Adaptive.Tolerance)
	case o.Comparison != nil:
		return errors.Join(validateTolerance(o.Comparison.Tolerance), validateTolerance(o.Comparison.Margin))
	case o.Watch != nil:
		if o.Worse == WorseEither {
			return errors.New("a watch needs one direction: worse must be higher or lower")
		}
		return errors.Join(validateTolerance(o.Watch.Tolerance), validateTolerance(o.Watch.Margin))
	}
	return nil
}

func (t *Threshold) validate() error {
	if t.Fail == nil && t.Warn == nil {
		return errors.New("a threshold needs a fail or a warn limit")
	}
	for _, l := range []*Limit{t.Fail, t.Warn} {
		if l == nil {
			continue
		}
		if err := l.valid(); err != nil {
			return err
		}
	}
	if t.Fail != nil && t.Warn != nil && t.Fail.upper() != t.Warn.upper() {
		return errors.New("the fail and warn limits point in different directions")
	}
	if t.Confidence != 0 && !(t.Confidence > 0 && t.Confidence < 1) {
		return fmt.Errorf("confidence is %v; it must be between 0 and 1, without them", t.Confidence)
	}
	if !(t.MinSamples >= 0) {
		return fmt.Errorf("minSamples is %v; it must not be negative", t.MinSamples)
	}
	return nil
}

func validateTolerance(t *float64) error {
	if t != nil && !isCount(*t) {
		return fmt.Errorf("tolerance or margin is %v; it must not be negative", *t)
	}
	return nil
}

// Validate checks the options.
func (o *Options) Validate() error {
	if o.Alpha != 0 && !(o.Alpha > 0 && o.Alpha < 0.5) {
		return fmt.Errorf("alpha is %v; it must be between 0 and 0.5, without them", o.Alpha)
	}
	if s := o.Score; s != nil && !(s.Pass >= s.Warn && s.Warn >= 0 && s.Pass <= 100) {
		return fmt.Errorf("score limits are pass %v and warn %v; 0 <= warn <= pass <= 100 is needed", s.Pass, s.Warn)
	}
	return nil
}
