package flagd

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/open-feature/flagd/core/pkg/evaluator"
	"github.com/open-feature/flagd/core/pkg/logger"
	"github.com/open-feature/flagd/core/pkg/model"
	"github.com/open-feature/flagd/core/pkg/store"
	flagdsync "github.com/open-feature/flagd/core/pkg/sync"
	"go.uber.org/zap"

	"github.com/tidegate-io/tidegate/flag"
)

const selectorHeader = "Flagd-Selector"

// catalog keeps flagd's store and evaluator in step with flag.State. Whoever
// evaluates calls current first; bringing the evaluator up to date is the
// work of the first request after a change.
type catalog struct {
	flags  Flags
	store  *store.Store
	eval   *evaluator.JSON
	logger *slog.Logger

	applied atomic.Pointer[flag.State]
	mu      sync.Mutex
	served  map[string]string // JSON by source
}

func newCatalog(flags Flags, log *slog.Logger) (*catalog, error) {
	quiet := logger.NewLogger(zap.NewNop(), false)
	// No fixed list of sources: files come and go.
	st, err := store.NewStore(quiet, []string{})
	if err != nil {
		return nil, err
	}
	return &catalog{flags: flags, store: st, eval: evaluator.NewJSON(quiet, st), logger: log, served: map[string]string{}}, nil
}

// current brings the evaluator up to date and returns the state it is at.
func (c *catalog) current() *flag.State {
	if s := c.flags.State(); s == c.applied.Load() {
		return s
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.flags.State()
	if s == c.applied.Load() {
		return s
	}
	present := make(map[string]bool, len(s.Documents()))
	for _, d := range s.Documents() {
		present[d.Source] = true
		c.apply(d.Source, string(d.JSON))
	}
	for source := range c.served {
		if !present[source] {
			c.apply(source, `{"flags":{}}`)
			delete(c.served, source)
		}
	}
	c.applied.Store(s)
	return s
}

// apply puts one document in force. The flag package has validated it, so a
// failure here means that flagd is stricter: the earlier document stays.
func (c *catalog) apply(source, document string) {
	if c.served[source] == document {
		return
	}
	if err := c.eval.SetState(flagdsync.DataSync{Source: source, FlagData: document}); err != nil {
		c.logger.Error("the flag evaluator refused definitions", "source", source, "error", err)
		return
	}
	c.served[source] = document
}

// selected returns ctx with the selector that the request's headers name.
func selected(ctx context.Context, h http.Header) (context.Context, store.Selector, error) {
	s, err := store.NewSelector(h.Get(selectorHeader))
	if err != nil {
		return nil, store.Selector{}, err
	}
	return context.WithValue(ctx, store.SelectorContextKey{}, s), s, nil
}

// configuration renders the selected flags as one flagd document.
func (c *catalog) configuration(ctx context.Context, s store.Selector) (string, error) {
	flags, _, err := c.store.GetAll(ctx, &s)
	if err != nil {
		return "", err
	}
	byKey := make(map[string]model.Flag, len(flags))
	for _, f := range flags {
		byKey[f.Key] = f
	}
	text, err := json.Marshal(map[string]any{"flags": byKey})
	return string(text), err
}
