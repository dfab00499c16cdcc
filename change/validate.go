package change

import (
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidegate-io/tidegate/fault"
)

// Limits on events, which come from outside. Those on properties are the ones
// the Dynatrace Events API has.
const (
	maxIDLength       = 200
	maxTypeLength     = 200
	maxNameLength     = 300  // service, environment, version, key, who, source
	maxTextLength     = 2000 // title, reason, from, to
	maxProperties     = 100
	maxPropertyKey    = 100
	maxPropertyValue  = 4096
	maxLinks          = 20
	maxURLLength      = 2048
	maxEntities       = 500
	maxSelectorLength = 2000
)

var kinds = []Kind{
	KindDeployment, KindFlag, KindConfiguration, KindTest, KindValidation, KindAnnotation, KindProblem, KindAction,
}

// kindOf derives the kind from the first word of the type; what is unknown
// is an annotation.
func kindOf(eventType string) Kind {
	word, _, _ := strings.Cut(eventType, ".")
	for _, k := range kinds {
		if string(k) == word {
			return k
		}
	}
	return KindAnnotation
}

// Validate checks an event that is about to be stored. The error is a fault
// of KindInvalid with the field that is wrong.
func (e *Event) Validate() error {
	if e.Type == "" {
		return fault.InvalidField("type", "is required, for example deployment.finished")
	}
	if strings.IndexFunc(e.Type, func(r rune) bool { return r <= ' ' || r == 0x7f }) >= 0 {
		return fault.InvalidField("type", "must not contain spaces or control characters")
	}
	if err := e.validateKind(); err != nil {
		return err
	}
	if err := e.validateTexts(); err != nil {
		return err
	}
	if err := e.validateTimes(); err != nil {
		return err
	}
	if err := validateProperties(e.Properties); err != nil {
		return err
	}
	if err := validateLinks(e.Links); err != nil {
		return err
	}
	return e.Undo.validate()
}

func (e *Event) validateKind() error {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		if k == e.Kind {
			return nil
		}
		names[i] = string(k)
	}
	return fault.InvalidField("kind", "%q is unknown, expected one of %s", e.Kind, strings.Join(names, ", "))
}

func (e *Event) validateTexts() error {
	for _, t := range []struct {
		field, value string
		max          int
	}{
		{"id", e.ID, maxIDLength}, {"type", e.Type, maxTypeLength},
		{"title", e.Title, maxTextLength}, {"reason", e.Reason, maxTextLength},
		{"from", e.From, maxTextLength}, {"to", e.To, maxTextLength},
		{"who", e.Who, maxNameLength}, {"source", e.Source, maxNameLength}, {"key", e.Key, maxNameLength},
		{"service", e.Service, maxNameLength}, {"environment", e.Environment, maxNameLength}, {"version", e.Version, maxNameLength},
		{"correlation", e.Correlation, maxNameLength}, {"undoOf", e.UndoOf, maxIDLength},
		{"selector", e.Selector, maxSelectorLength},
	} {
		if err := validateText(t.field, t.value, t.max); err != nil {
			return err
		}
	}
	if len(e.Entities) > maxEntities {
		return fault.InvalidField("entities", "%d given, at most %d are allowed", len(e.Entities), maxEntities)
	}
	return nil
}

func validateText(field, value string, limit int) error {
	if len(value) > limit && utf8.RuneCountInString(value) > limit {
		return fault.InvalidField(field, "is %d characters long, at most %d are allowed", utf8.RuneCountInString(value), limit)
	}
	if !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
		return fault.InvalidField(field, "is not valid text (UTF-8 without NUL)")
	}
	return nil
}

func (e *Event) validateTimes() error {
	if !e.End.IsZero() && e.End.Before(e.Start) {
		return fault.InvalidField("end", "%s is before start %s", e.End.Format(time.RFC3339Nano), e.Start.Format(time.RFC3339Nano))
	}
	// Stores keep times as 64-bit nanoseconds.
	for field, t := range map[string]time.Time{"start": e.Start, "end": e.End} {
		if !t.IsZero() && (t.Year() < 1970 || t.Year() > 2200) {
			return fault.InvalidField(field, "%s is not a plausible time", t.Format(time.RFC3339))
		}
	}
	return nil
}

func validateProperties(p map[string]string) error {
	if len(p) > maxProperties {
		return fault.InvalidField("properties", "%d given, at most %d are allowed", len(p), maxProperties)
	}
	for k, v := range p {
		if k == "" {
			return fault.InvalidField("properties", "a key is empty")
		}
		if err := validateText("properties", k, maxPropertyKey); err != nil {
			return err
		}
		if err := validateText("properties."+k, v, maxPropertyValue); err != nil {
			return err
		}
	}
	return nil
}

func validateLinks(links []Link) error {
	if len(links) > maxLinks {
		return fault.InvalidField("links", "%d given, at most %d are allowed", len(links), maxLinks)
	}
	for _, l := range links {
		if err := validateText("links.title", l.Title, maxNameLength); err != nil {
			return err
		}
		if err := validateURL("links.url", l.URL); err != nil {
			return err
		}
	}
	return nil
}

// validateURL admits only what a browser may safely be sent to.
func validateURL(field, text string) error {
	if len(text) > maxURLLength {
		return fault.InvalidField(field, "is longer than %d characters", maxURLLength)
	}
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return fault.InvalidField(field, "expected an http or https URL")
	}
	return nil
}

func (u *Undo) validate() error {
	if u == nil {
		return nil
	}
	switch u.Kind {
	case "flag":
		if u.FlagKey == "" {
			return fault.InvalidField("undo.flagKey", "is required for an undo of kind flag")
		}
		if u.Variant == "" {
			return fault.InvalidField("undo.variant", "is required for an undo of kind flag")
		}
		for field, v := range map[string]string{"undo.flagSet": u.FlagSet, "undo.flagKey": u.FlagKey, "undo.variant": u.Variant} {
			if err := validateText(field, v, maxNameLength); err != nil {
				return err
			}
		}
		return nil
	case "webhook":
		return validateURL("undo.url", u.URL)
	case "rollout":
		if u.Rollout == "" {
			return fault.InvalidField("undo.rollout", "is required for an undo of kind rollout")
		}
		return validateText("undo.rollout", u.Rollout, maxNameLength)
	case UndoRollback:
		if u.Deployment == "" {
			return fault.InvalidField("undo.deployment", "is required for an undo of kind rollback")
		}
		return validateText("undo.deployment", u.Deployment, maxNameLength)
	}
	return fault.InvalidField("undo.kind", "%q is unknown, expected flag, webhook, rollout or rollback", u.Kind)
}
