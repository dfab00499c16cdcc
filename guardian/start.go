package guardian

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidegate-io/tidegate/fault"
)

// Limits of a request.
const (
	maxTags     = 50
	maxTagKey   = 100
	maxTagValue = 1000
	maxWho      = 300
	maxAhead    = 24 * time.Hour
)

var idForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$`)

// Request asks for a validation.
type Request struct {
	// ID makes the request idempotent: the same one again answers the same
	// validation. Assigned when empty. Letters, digits and ". _ : -".
	ID       string
	Guardian string
	// Exactly one of Window, Last (up to now) and Next (from now) is set.
	Window Window
	Last   time.Duration
	Next   time.Duration

	Tags map[string]string
	// Variables are values for this run; see Guardian.Variables.
	Variables map[string]string
	Trigger   string // default "manual"
	Who       string
	EventID   string
}

// Start stores a validation that Run will do when its window has ended and
// settled. It answers when the validation is durable. Faults: KindInvalid for
// a wrong request, KindNotFound for an unknown guardian, KindConflict when the
// ID is another guardian's, KindUnavailable when too many are waiting.
func (s *Service) Start(ctx context.Context, r Request) (Validation, error) {
	g, ok := s.defs.Guardian(r.Guardian)
	if !ok {
		return Validation{}, fault.NotFound("no guardian %q", r.Guardian)
	}
	now := s.now()
	w, err := r.window(now)
	if err != nil {
		return Validation{}, err
	}
	if err := r.validate(); err != nil {
		return Validation{}, err
	}
	if g, err = g.with(r.Variables); err != nil {
		return Validation{}, err
	}
	if s.waitingCount() >= s.maxWaiting {
		return Validation{}, fault.Unavailable("%d validations are waiting already; try again later", s.maxWaiting)
	}
	if r.ID == "" {
		r.ID = newID(now)
	}
	if r.Trigger == "" {
		r.Trigger = "manual"
	}
	v, created, err := s.store.Create(ctx, Validation{
		ID: r.ID, Guardian: g.Name, Target: g.Target, Variant: g.variant(r.Tags), Tags: r.Tags, Variables: r.Variables,
		Window: w, State: StatePending, Trigger: r.Trigger, Who: r.Who, EventID: r.EventID,
		Created: now, Training: TrainingAuto,
	})
	if err != nil {
		return Validation{}, fmt.Errorf("store validation: %w", err)
	}
	if !created {
		if v.Guardian != g.Name {
			return Validation{}, fault.Conflict("validation %s exists already, of guardian %q", v.ID, v.Guardian)
		}
		return v, nil
	}
	s.tell(v)
	s.enqueue(v.ID, g.nextLook(v, now))
	return v, nil
}

// window is what the request asks for. Windows that are not bound to something
// that happened, the last minute and the next one, begin and end on the grid
// of the golden signals, so that nothing at their edges is counted by halves.
func (r Request) window(now time.Time) (Window, error) {
	var set int
	w := r.Window
	if w != (Window{}) {
		set++
	}
	if r.Last != 0 {
		set++
		to := now.Truncate(sliceResolution)
		w = Window{From: to.Add(-r.Last), To: to}
	}
	if r.Next != 0 {
		set++
		w = Window{From: now, To: now.Add(r.Next)}
	}
	if w.To.After(now) { // to come: it may as well begin where a slot does
		from := now.Add(sliceResolution - 1).Truncate(sliceResolution)
		if w.From.Before(from) && !w.From.Before(now.Add(-sliceResolution)) {
			w = Window{From: from, To: from.Add(w.Length())}
		}
	}
	switch {
	case set != 1:
		return w, fault.InvalidField("window", "expected exactly one of from and to, last, and next")
	case w.From.IsZero() || w.To.IsZero():
		return w, fault.InvalidField("window", "expected both from and to")
	case w.Length() < minWindow || w.Length() > maxWindow:
		return w, fault.InvalidField("window", "expected a length between %s and %s, got %s", minWindow, maxWindow, w.Length())
	case w.To.After(now.Add(maxAhead)):
		return w, fault.InvalidField("window", "ends %s from now, at most %s", w.To.Sub(now).Round(time.Second), maxAhead)
	}
	return w, nil
}

func (r Request) validate() error {
	switch {
	case r.ID != "" && !idForm.MatchString(r.ID):
		return fault.InvalidField("id", "expected up to 128 letters, digits and . _ : -")
	case len(r.Who) > maxWho || !plain(r.Who):
		return fault.InvalidField("who", "expected text of up to %d characters", maxWho)
	case len(r.Trigger) > maxTagKey || !plain(r.Trigger):
		return fault.InvalidField("trigger", "expected text of up to %d characters", maxTagKey)
	case len(r.EventID) > maxWho || !plain(r.EventID):
		return fault.InvalidField("eventId", "expected text of up to %d characters", maxWho)
	case len(r.Tags) > maxTags:
		return fault.InvalidField("tags", "at most %d, got %d", maxTags, len(r.Tags))
	}
	for k, v := range r.Tags {
		if k == "" || len(k) > maxTagKey || len(v) > maxTagValue || !plain(k) || !plain(v) {
			return fault.InvalidField("tags", "%.20q: expected a key of 1 to %d and a value of up to %d characters", k, maxTagKey, maxTagValue)
		}
	}
	return nil
}

// plain reports whether s is text that every store can keep.
func plain(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// variant is the part of the tags that separates histories, "purpose=a,zone=b".
func (g Guardian) variant(tags map[string]string) string {
	parts := make([]string, 0, len(g.VariantBy))
	for _, k := range g.VariantBy {
		parts = append(parts, k+"="+tags[k])
	}
	return strings.Join(parts, ",")
}

// due is when a validation's telemetry is expected to be complete.
func (g Guardian) due(v Validation) time.Time {
	settle := g.Settle
	if settle == 0 {
		settle = defaultSettle
	}
	return v.Window.To.Add(settle)
}

// newID returns a UUID version 7 (RFC 9562): sorted by time, 74 random bits.
func newID(now time.Time) string {
	var b [16]byte
	rand.Read(b[:]) // never fails (crypto/rand, since Go 1.24)
	ms := uint64(now.UnixMilli())
	for i := range 6 {
		b[i] = byte(ms >> (40 - 8*i))
	}
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
