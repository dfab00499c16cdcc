package flag

import (
	"context"
	"fmt"
	"strings"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/fault"
)

// Set makes a runtime change: from now on the flag's default variant is
// c.Variant, whatever its source says. It returns the flag as it is then and
// the event that reports the change. Targeting rules keep working: contexts
// for which a rule decides get what the rule says, all others the new
// variant. To change what a rule decides, change the source.
//
// When the flag has that variant already nothing happens, and the event is that
// of the runtime change that brought it about, or empty when the source did.
// A repeated idempotency key returns the event of the first request.
//
// The change and its audit are stored first, then the change event, and only
// then is the new variant served; so nothing is ever served that is not on
// record. A crash in between is repaired by Load.
//
// Errors: KindInvalid (unknown variant, nobody named), KindNotFound,
// KindConflict (key in several sets, flag disabled in its source, idempotency
// key used for another change), KindUnavailable when the change is stored but
// could not be reported yet: it is served as soon as that succeeds.
func (m *Manager) Set(ctx context.Context, c Change) (Flag, change.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.report(ctx); err != nil {
		return Flag{}, change.Event{}, err
	}
	f, err := m.State().Flag(c.Set, c.Key)
	if err != nil {
		return Flag{}, change.Event{}, err
	}
	if err := checkChange(f, c); err != nil {
		return Flag{}, change.Event{}, err
	}
	if e, ok, err := m.repeated(ctx, f, c); ok || err != nil {
		return f, e, err
	}
	o := c.override(f)
	if o.sameAs(f) {
		return m.unchanged(ctx, f)
	}
	a := m.audit(f, c)
	o.At, o.EventID = a.At, a.EventID
	if err := reportable(f, a); err != nil {
		return Flag{}, change.Event{}, err
	}
	applied, err := m.store.SetOverride(ctx, o, a, c.IdempotencyKey)
	if err != nil {
		return Flag{}, change.Event{}, fmt.Errorf("storing the change of flag %s: %w", f.Key, err)
	}
	if !applied {
		return Flag{}, change.Event{}, fault.Conflict("idempotency key %q was used for another change", c.IdempotencyKey)
	}
	return m.finish(ctx, f, a)
}

// override is what a change puts in force: its variant for all, or for a share
// of the callers while the others keep what all had.
func (c Change) override(f Flag) Override {
	o := Override{Set: f.Set, Key: f.Key, Variant: c.Variant, Who: c.Who, Reason: c.Reason}
	if c.partial() && c.Variant != f.DefaultVariant {
		o.Variant, o.Share = f.DefaultVariant, &Share{Variant: c.Variant, Percent: c.Percent}
	}
	return o
}

func (c Change) partial() bool { return c.Percent > 0 && c.Percent < 100 }

// sameAs reports whether the flag is that way already.
func (o Override) sameAs(f Flag) bool {
	var now Share
	if f.Override != nil && f.Override.Share != nil {
		now = *f.Override.Share
	}
	var wanted Share
	if o.Share != nil {
		wanted = *o.Share
	}
	return o.Variant == f.DefaultVariant && wanted == now
}

// Clear takes the runtime change of a flag away, so that its source decides
// again. It is audited and reported like a change; without a runtime change
// nothing happens and the event is empty.
func (m *Manager) Clear(ctx context.Context, set, key, who, reason string) (Flag, change.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.report(ctx); err != nil {
		return Flag{}, change.Event{}, err
	}
	f, err := m.State().Flag(set, key)
	if err != nil {
		return Flag{}, change.Event{}, err
	}
	if strings.TrimSpace(who) == "" {
		return Flag{}, change.Event{}, fault.InvalidField("who", "is required: flags are not changed anonymously")
	}
	if _, ok := m.overrides[overrideKey{f.Set, f.Key}]; !ok {
		return f, change.Event{}, nil
	}
	a := m.audit(f, Change{Variant: f.SourceVariant, Who: who, Reason: reason})
	a.Note = "runtime change cleared, the source decides"
	if err := reportable(f, a); err != nil {
		return Flag{}, change.Event{}, err
	}
	if err := m.store.ClearOverride(ctx, f.Set, f.Key, a); err != nil {
		return Flag{}, change.Event{}, fmt.Errorf("clearing the runtime change of flag %s: %w", f.Key, err)
	}
	return m.finish(ctx, f, a)
}

func checkChange(f Flag, c Change) error {
	if strings.TrimSpace(c.Who) == "" {
		return fault.InvalidField("who", "is required: flags are not changed anonymously")
	}
	if f.Variants[c.Variant] == nil {
		return fault.InvalidField("variant", "%q is not a variant of flag %s, expected one of %s", c.Variant, f.Key, names(f.Variants))
	}
	if c.OnFailure != "" && f.Variants[c.OnFailure] == nil {
		return fault.InvalidField("onFailure", "%q is not a variant of flag %s, expected one of %s", c.OnFailure, f.Key, names(f.Variants))
	}
	if !(c.Percent >= 0 && c.Percent <= 100) {
		return fault.InvalidField("percent", "expected between 0 and 100, got %v", c.Percent)
	}
	if c.partial() && f.DefaultVariant == "" {
		return fault.InvalidField("percent", "flag %s has no default variant, so there is nothing for the other callers", f.Key)
	}
	if f.State == "DISABLED" {
		return fault.Conflict("flag %s is DISABLED in %s, so a change of its variant would have no effect", f.Key, f.Source)
	}
	return nil
}

// reportable checks the event of a change before the change is stored: one that
// could never be reported would be in the way of everything that comes after.
func reportable(f Flag, a Audit) error {
	e := runtimeEvent(f, a)
	return e.Validate()
}

// eventID is the ID of the event that reports a change. It follows from the
// idempotency key where there is one, so that a repetition finds the event.
func (m *Manager) eventID(f Flag, c Change) string {
	if c.IdempotencyKey != "" {
		return change.DeriveID("flag", f.Set, f.Key, c.IdempotencyKey)
	}
	return change.NewID(m.now())
}

// repeated answers a request whose idempotency key was seen before.
func (m *Manager) repeated(ctx context.Context, f Flag, c Change) (change.Event, bool, error) {
	if c.IdempotencyKey == "" {
		return change.Event{}, false, nil
	}
	e, err := m.recorder.Event(ctx, m.eventID(f, c))
	if fault.Is(err, fault.KindNotFound) {
		return change.Event{}, false, nil
	}
	if err != nil {
		return change.Event{}, false, err
	}
	if e.To != c.Variant {
		return change.Event{}, false, fault.Conflict("idempotency key %q was used to set flag %s to %s", c.IdempotencyKey, f.Key, e.To)
	}
	return e, true, nil
}

// unchanged answers a request for what is in force already.
func (m *Manager) unchanged(ctx context.Context, f Flag) (Flag, change.Event, error) {
	if f.Override == nil {
		return f, change.Event{}, nil
	}
	e, err := m.recorder.Event(ctx, f.Override.EventID)
	if fault.Is(err, fault.KindNotFound) {
		return f, change.Event{}, nil // older than the events that are kept
	}
	return f, e, err
}

func (m *Manager) audit(f Flag, c Change) Audit {
	percent := 0.0
	if c.partial() {
		percent = c.Percent
	}
	return Audit{
		Percent: percent, ID: change.NewID(m.now()), Set: f.Set, Key: f.Key, From: f.DefaultVariant, To: c.Variant,
		Who: c.Who, Reason: c.Reason, At: m.now().UTC(), EventID: m.eventID(f, c),
		OnFailure: c.OnFailure, UndoOf: c.UndoOf, What: "runtime",
	}
}

// finish reports and serves a change that has just been stored.
func (m *Manager) finish(ctx context.Context, f Flag, a Audit) (Flag, change.Event, error) {
	m.unreported = &a
	// The change is on record: the caller giving up must not stop it halfway.
	ctx = context.WithoutCancel(ctx)
	if err := m.report(ctx); err != nil {
		return Flag{}, change.Event{}, err
	}
	e, err := m.recorder.Event(ctx, a.EventID)
	if err != nil {
		return Flag{}, change.Event{}, err
	}
	f, err = m.State().Flag(f.Set, f.Key)
	return f, e, err
}

// report records the event of a stored change and then serves the change.
func (m *Manager) report(ctx context.Context) error {
	if m.unreported == nil {
		return nil
	}
	if err := m.recordRuntime(ctx, *m.unreported); err != nil {
		return err
	}
	if err := m.readOverrides(ctx); err != nil {
		return err
	}
	if err := m.publish(); err != nil {
		return err
	}
	m.unreported = nil
	return nil
}

// recordRuntime records the event of a stored change, at the place that its
// flag has now; a flag that is gone has none.
func (m *Manager) recordRuntime(ctx context.Context, a Audit) error {
	f := m.sourceFlags()[overrideKey{a.Set, a.Key}]
	if _, err := m.recorder.Record(ctx, runtimeEvent(f, a)); err != nil {
		return fault.Unavailable("the change of flag %s to %s is stored and will be served once it is reported, which failed: %w", a.Key, a.To, err)
	}
	return nil
}

// auditsToCheck is how far back Load looks for unfinished changes. Changes
// are serialised, so one per replica can be unfinished.
const auditsToCheck = 50

// finishInterrupted reports changes that were stored just before a crash.
func (m *Manager) finishInterrupted(ctx context.Context) error {
	audits, err := m.store.Audits(ctx, "", "", auditsToCheck)
	if err != nil {
		return fmt.Errorf("reading the history of flags: %w", err)
	}
	for _, a := range audits {
		if a.What != "runtime" || a.EventID == "" {
			continue
		}
		_, err := m.recorder.Event(ctx, a.EventID)
		if err == nil {
			continue
		}
		if !fault.Is(err, fault.KindNotFound) {
			return err
		}
		m.logger.InfoContext(ctx, "finishing a flag change that was interrupted", "flag", a.Key, "to", a.To, "event", a.EventID)
		if err := m.recordRuntime(ctx, a); err != nil {
			return err
		}
	}
	return nil
}
