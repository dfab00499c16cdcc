package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/delivery/rollout"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/flag"
)

// undoer takes changes back, each the way its event says. It is idempotent:
// the undo's own event carries UndoOf, and a second request answers with it.
type undoer struct {
	changes *change.Log
	flags   *flag.Manager
	http    *http.Client
	// rollouts is set once there are some.
	rollouts *rollout.Engine
	deployer deployer // set once there are pipelines
	now      func() time.Time

	mu sync.Mutex // one undo at a time: they are rare, and must not race
}

// undoTimeout bounds the request of one undo.
const undoTimeout = 30 * time.Second

func newUndoer(changes *change.Log, flags *flag.Manager) *undoer {
	return &undoer{changes: changes, flags: flags, now: time.Now, http: &http.Client{Timeout: undoTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// Undo implements httpapi.Undoer and the workflow's undo step.
func (u *undoer) Undo(ctx context.Context, eventID, who, reason string) (change.Event, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	e, err := u.changes.Event(ctx, eventID)
	if err != nil {
		return change.Event{}, err
	}
	if e.Undo == nil {
		return change.Event{}, fault.Invalid("nobody said how to undo %q: change event %s has no undo action", e.Title, e.ID)
	}
	if done, ok, err := u.done(ctx, e.ID); err != nil || ok {
		return done, err
	}
	switch e.Undo.Kind {
	case "flag":
		_, undone, err := u.flags.Set(ctx, flag.Change{Set: e.Undo.FlagSet, Key: e.Undo.FlagKey, Variant: e.Undo.Variant,
			Who: who, Reason: reason, UndoOf: e.ID, IdempotencyKey: "undo-" + e.ID})
		if err != nil {
			return change.Event{}, fmt.Errorf("undo %q: %w", e.Title, err)
		}
		if undone.UndoOf == e.ID {
			return undone, nil
		}
		return u.record(ctx, e, who, "the flag had the variant already")
	case "webhook":
		return u.webhook(ctx, e, who, reason)
	case "rollout":
		return u.undoRollout(ctx, e, who, reason)
	case change.UndoRollback:
		return u.undoDeployment(ctx, e, who, reason)
	}
	return change.Event{}, fault.Invalid("change event %s: unknown kind of undo %q", e.ID, e.Undo.Kind)
}

// done returns the event of an earlier undo.
func (u *undoer) done(ctx context.Context, id string) (change.Event, bool, error) {
	e, err := u.changes.Event(ctx, undoEventID(id))
	if err == nil {
		return e, true, nil
	}
	if fault.Is(err, fault.KindNotFound) {
		return change.Event{}, false, nil
	}
	return change.Event{}, false, err
}

func undoEventID(id string) string {
	sum := sha256.Sum256([]byte("undo\x00" + id))
	return "undo-" + hex.EncodeToString(sum[:12])
}

// webhook posts to the URL with an idempotency key; only its own 2xx is done: a
// redirect, to a page to log in for example, is not followed.
func (u *undoer) webhook(ctx context.Context, e change.Event, who, reason string) (change.Event, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.Undo.URL, strings.NewReader("{}"))
	if err != nil {
		return change.Event{}, fault.Invalid("undo of %q: %v", e.Title, err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", undoEventID(e.ID))
	res, err := u.http.Do(req)
	if err != nil {
		return change.Event{}, fault.Unavailable("undo of %q: %s does not answer", e.Title, req.URL.Host)
	}
	res.Body.Close()
	if res.StatusCode/100 != 2 {
		return change.Event{}, fault.Unavailable("undo of %q: %s answered %s", e.Title, req.URL.Host, res.Status)
	}
	return u.record(ctx, e, who, reason)
}

// record tells of an undo that the flag manager does not tell of.
func (u *undoer) record(ctx context.Context, e change.Event, who, reason string) (change.Event, error) {
	return u.changes.Record(ctx, change.Event{
		ID: undoEventID(e.ID), Type: "change.undone", Kind: change.KindAction, Title: undoneTitle(e.Title),
		Who: who, Reason: reason, Source: "tidegate", Start: u.now(), Ref: e.Ref, Entities: e.Entities,
		Key: e.Key, From: e.To, To: e.From, UndoOf: e.ID, Correlation: e.Correlation,
	})
}

// undoneTitle has at most as many characters as a title may have.
func undoneTitle(title string) string {
	const limit = 2000
	text := []rune("undone: " + title)
	if len(text) > limit {
		text = append(text[:limit-1], '…')
	}
	return string(text)
}
