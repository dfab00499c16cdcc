// Package flag is Tidegate's view of feature flags: sets of definitions in
// flagd's JSON, who changed which flag when, and how to undo it.
//
// A definition comes from a [Source]: a file, a directory of files, a
// Kubernetes ConfigMap that embeds some, or a manifest. Sources are watched and
// taken over file by file, whole or not at all: a file with anything wrong in
// it is refused with its line and reason, audited, and what it gave before
// stays in force. Edits of a source are audited and become change events.
//
// A runtime change overrides the default variant without touching the source.
// It is kept until it is cleared, survives restarts, and is recorded as a
// change event on the service that the flag affects. Targeting rules are not
// touched by it: where a rule decides, it still does.
//
// The [Manager] holds it all. Its invariants: a runtime change is stored with
// its audit first, reported as an event second, and served last; what was
// stored and not reported before a crash is reported by Load, before anything
// is served; all changes have one order.
//
//	m, err := flag.New(flag.Config{Store: db.Flags(), Recorder: changes,
//		Sources: []flag.Source{{Path: "flags/", Place: entity.Ref{Environment: "dev"}}}})
//	err = m.Load(ctx)  // flags are in force
//	go m.Run(ctx)      // follows the sources
//	f, event, err := m.Set(ctx, flag.Change{Key: "paymentServiceFailure", Variant: "on", Who: "ann", Reason: "drill"})
//	<-m.State().Changed()
package flag

import (
	"context"
	"encoding/json"
	"time"
)

// Flag is the state of one flag as people see it.
type Flag struct {
	Set string `json:"set"`
	Key string `json:"key"`
	// State is ENABLED or DISABLED.
	State string `json:"state"`
	// Variants by name; values are JSON.
	Variants map[string]json.RawMessage `json:"variants"`
	// DefaultVariant is in force now; SourceVariant is what the source says.
	DefaultVariant string            `json:"defaultVariant"`
	SourceVariant  string            `json:"sourceVariant"`
	Targeting      json.RawMessage   `json:"targeting,omitempty"`
	Metadata       map[string]string `json:"metadata,omitempty"`
	// Service and Environment that the flag affects, from the set's manifest
	// or the flag's metadata ("service").
	Service     string `json:"service,omitempty"`
	Environment string `json:"environment,omitempty"`
	Source      string `json:"source"`
	// Override is the runtime change in force; nil when the source decides.
	Override *Override `json:"override,omitempty"`
}

// Override is a runtime change of a flag.
type Override struct {
	Set     string `json:"set"`
	Key     string `json:"key"`
	Variant string `json:"variant"`
	// Share is the part of the callers that gets another variant; nil when
	// Variant is for all.
	Share  *Share    `json:"share,omitempty"`
	Who    string    `json:"who"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
	// EventID is the change event that reported it.
	EventID string `json:"eventId"`
}

// Share gives a variant to some of the callers, by their targeting key: always
// to the same ones, and to those of a smaller share also in a larger one.
// Callers without a targeting key do not get it.
type Share struct {
	Variant string  `json:"variant"`
	Percent float64 `json:"percent" doc:"above 0, below 100"`
}

// Change asks for a runtime change.
type Change struct {
	Set     string `json:"set,omitempty" doc:"may be empty when only one set has the key"`
	Key     string `json:"key"`
	Variant string `json:"variant"`
	// Percent of the callers get the variant, the others what all got before;
	// 0 and 100 mean everybody.
	Percent float64 `json:"percent,omitempty" minimum:"0" maximum:"100"`
	Who     string  `json:"who"`
	Reason  string  `json:"reason"`
	// OnFailure is the variant to go back to when a validation fails.
	OnFailure string `json:"onFailure,omitempty"`
	// UndoOf is the id of the change event this change takes back.
	UndoOf string `json:"undoOf,omitempty"`
	// IdempotencyKey makes a repeated request harmless.
	IdempotencyKey string `json:"idempotencyKey,omitempty"`
}

// Audit is one line of a flag's history, newest first when listed.
type Audit struct {
	ID      string    `json:"id"`
	Set     string    `json:"set"`
	Key     string    `json:"key"`
	From    string    `json:"from"`
	To      string    `json:"to"`
	Who     string    `json:"who"`
	Reason  string    `json:"reason"`
	At      time.Time `json:"at"`
	EventID string    `json:"eventId,omitempty"`
	// OnFailure and UndoOf are those of the Change; they are kept so that its
	// event can be completed after a crash.
	OnFailure string `json:"onFailure,omitempty"`
	UndoOf    string `json:"undoOf,omitempty"`
	// What is "runtime", "source" (the file changed) or "refused" (a bad file).
	What string `json:"what"`
	// Percent of the callers that got the variant; 0 means all.
	Percent float64 `json:"percent,omitempty"`
	Note    string  `json:"note,omitempty"`
}

// Store keeps runtime changes and the audit. Safe for concurrent use; what
// returned without an error survives a crash.
type Store interface {
	// SetOverride stores the override and its audit line together; when the
	// idempotency key was used before it changes nothing and reports false.
	SetOverride(ctx context.Context, o Override, a Audit, idempotencyKey string) (applied bool, err error)
	// ClearOverride removes the override, with an audit line.
	ClearOverride(ctx context.Context, set, key string, a Audit) error
	Overrides(ctx context.Context) ([]Override, error)
	AddAudit(ctx context.Context, a Audit) error
	// Audits returns the newest first; empty set or key do not restrict.
	Audits(ctx context.Context, set, key string, limit int) ([]Audit, error)
}
