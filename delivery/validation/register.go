package validation

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/delivery/signature"
	"github.com/tidegate-io/tidegate/fault"
)

// Limits of a request.
const (
	maxText   = 300
	maxWindow = 24 * time.Hour
	minWindow = time.Second
)

// Register stores a validation that Run judges when its time has come. It
// answers when the validation is durable. Faults: KindInvalid for a wrong
// request or monspec, KindNotFound for an unknown comparison or signature,
// KindConflict when the Key was used for a different one.
func (s *Service) Register(ctx context.Context, r Request) (Validation, error) {
	if err := r.validate(); err != nil {
		return Validation{}, err
	}
	signatures, err := s.chosen(r)
	if err != nil {
		return Validation{}, err
	}
	now := s.cfg.Clock().UTC()
	v := Validation{
		ID: r.id(), Pipeline: r.Pipeline, Build: r.Build, Release: r.Release, Stage: r.Stage, Comparison: r.Comparison,
		Service: r.Service, Version: r.Version, Environment: r.Environment, Who: r.Who,
		Status: StatusWaiting, Created: now, Window: r.window(now), Signatures: signatures,
	}
	v.Due = v.Window.To.Add(s.cfg.Settle)
	v.Summary = fmt.Sprintf("Waits until %s: %s is judged over %s.", v.Due.Format(time.RFC3339), v.Comparison, v.Window.Length())
	stored, created, err := s.cfg.Store.Create(ctx, v)
	if err != nil {
		return Validation{}, fmt.Errorf("store validation: %w", err)
	}
	if !created {
		if stored.Comparison != v.Comparison || stored.Pipeline != v.Pipeline || stored.Build != v.Build {
			return Validation{}, fault.Conflict("key %q belongs to another validation, of %s in pipeline %q, build %q",
				r.Key, stored.Comparison, stored.Pipeline, stored.Build)
		}
		return stored, nil
	}
	s.tell(stored)
	s.signal()
	return stored, nil
}

// id is derived from the key, so that a repeated request finds its validation.
func (r Request) id() string {
	key := r.Key
	if key == "" {
		key = randomID()
	}
	sum := sha256.Sum256([]byte(key))
	return "cmp-" + hex.EncodeToString(sum[:12])
}

func (r Request) window(now time.Time) Window {
	if r.Last > 0 {
		return Window{From: now.Add(-r.Last), To: now}
	}
	return Window{From: now, To: now.Add(r.In)}
}

func (r Request) validate() error {
	for _, f := range []struct{ name, value string }{
		{"key", r.Key}, {"pipeline", r.Pipeline}, {"build", r.Build}, {"release", r.Release}, {"stage", r.Stage},
		{"comparison", r.Comparison}, {"signature", r.Signature}, {"service", r.Service}, {"version", r.Version},
		{"environment", r.Environment}, {"who", r.Who},
	} {
		if len(f.value) > maxText {
			return fault.InvalidField(f.name, "%d characters, at most %d are allowed", len(f.value), maxText)
		}
	}
	length := max(r.In, r.Last)
	switch {
	case r.Comparison == "":
		return fault.InvalidField("comparison", "is required, for example StagingToProduction")
	case (r.In == 0) == (r.Last == 0):
		return fault.InvalidField("in", "expected either in (how long from now on) or last (the time just passed)")
	case r.In < 0 || r.Last < 0 || length < minWindow || length > maxWindow:
		return fault.InvalidField("in", "expected between 1 s and 24 h")
	case r.Mode != "" && r.Mode != signature.ModePoint && r.Mode != signature.ModeConfidence:
		return fault.InvalidField("mode", "expected point or confidence, found %q", r.Mode)
	}
	return nil
}

// chosen returns the signatures that the request is about, each with nothing
// but the comparison asked for.
func (s *Service) chosen(r Request) ([]signature.Signature, error) {
	all := s.cfg.Signatures.Signatures()
	if len(r.Monspec) > 0 {
		var err error
		if all, err = signature.ParseMonspec("monspec", r.Monspec); err != nil {
			return nil, fault.InvalidField("monspec", "%w", err)
		}
	}
	if r.Signature != "" {
		i := slices.IndexFunc(all, func(sig signature.Signature) bool { return sig.Name == r.Signature })
		if i < 0 {
			return nil, fault.NotFound("no performance signature %q", r.Signature)
		}
		all = all[i : i+1]
	}
	var out []signature.Signature
	var known []string
	for _, sig := range all {
		for _, c := range sig.Comparisons {
			known = append(known, c.Name)
		}
		c, err := sig.Comparison(r.Comparison)
		if err != nil {
			continue
		}
		if r.Mode != "" {
			c.Mode = r.Mode
		}
		sig.Comparisons = []signature.Comparison{c}
		if err := sig.Validate(); err != nil {
			return nil, fmt.Errorf("signature %q: %w", sig.Name, err)
		}
		out = append(out, sig)
	}
	if len(out) == 0 {
		return nil, fault.NotFound("no comparison %q in any performance signature: %s", r.Comparison, thereIs(known))
	}
	return out, nil
}

func thereIs(known []string) string {
	if len(known) == 0 {
		return "there is none yet; apply a PerformanceSignature or pass a monspec"
	}
	slices.Sort(known)
	return "there is " + strings.Join(slices.Compact(known), ", ")
}

func (s *Service) signal() {
	select {
	case s.wake <- struct{}{}:
	default: // a signal is waiting already
	}
}
