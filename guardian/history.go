package guardian

import (
	"context"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/judge"
)

// Decisions about learning from a validation.
const (
	TrainingAuto     = "auto"
	TrainingAccepted = "accepted"
	TrainingRejected = "rejected"
)

// How far back histories reach: enough runs for stable statistics, few enough
// that what a service was last year does not decide today.
const (
	maxHistory   = 50
	historyPage  = 100
	historyPages = 3
	pinnedPages  = 10
)

// Trains reports whether adaptive objectives learn from the validation.
func (v Validation) Trains() bool {
	if v.State != StateFinished || v.Verdict == nil {
		return false
	}
	switch v.Training {
	case TrainingAccepted:
		return true
	case TrainingRejected:
		return false
	}
	return oneOf(v.Status, judge.StatusPass, judge.StatusWarn, judge.StatusLearning, judge.StatusInfo)
}

// history is what a validation's objectives learn from.
type history struct {
	runs      []Validation // that train, oldest first
	reference *Validation  // pinned
}

// historyOf reads the earlier validations of the same guardian and variant.
func (s *Service) historyOf(ctx context.Context, v Validation) (history, error) {
	var h history
	q := HistoryQuery{Guardian: v.Guardian, Variant: &v.Variant, State: StateFinished, Limit: historyPage, Before: v.Number}
	for range historyPages {
		page, err := s.store.Validations(ctx, q)
		if err != nil {
			return h, err
		}
		for _, earlier := range page {
			if earlier.ID != v.ID && earlier.Trains() && len(h.runs) < maxHistory {
				h.runs = append(h.runs, earlier)
			}
		}
		if len(page) < historyPage || len(h.runs) == maxHistory {
			break
		}
		q.Before = page[len(page)-1].Number
	}
	reverse(h.runs)

	pinned, err := s.pinned(ctx, v)
	for i, p := range pinned {
		if p.ID != v.ID {
			h.reference = &pinned[i]
			break
		}
	}
	return h, err
}

// pinned returns the reference runs of a validation's guardian and variant,
// newest first. Stores that know of pins answer with one page at most.
func (s *Service) pinned(ctx context.Context, v Validation) ([]Validation, error) {
	q := HistoryQuery{Guardian: v.Guardian, Variant: &v.Variant, State: StateFinished, Limit: historyPage, Pinned: true}
	var out []Validation
	for range pinnedPages {
		page, err := s.store.Validations(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, p := range page {
			if p.Pinned {
				out = append(out, p)
			}
		}
		if len(page) < historyPage {
			break
		}
		q.Before = page[len(page)-1].Number
	}
	return out, nil
}

// of returns the runs of one objective, oldest first.
func (h history) of(objective string, kind judge.Kind) (runs []judge.Run, reference *judge.Run) {
	for _, v := range h.runs {
		if r := runOf(v, objective, kind); r != nil {
			runs = append(runs, *r)
		}
	}
	if h.reference != nil {
		reference = runOf(*h.reference, objective, kind)
	}
	return runs, reference
}

// runOf returns what was kept of an objective; nil when the objective was
// not there, had no data, or measured something of another kind.
func runOf(v Validation, objective string, kind judge.Kind) *judge.Run {
	if v.Verdict == nil {
		return nil
	}
	for _, r := range v.Verdict.Results {
		if r.Name == objective && r.Run != nil && r.Run.Kind == kind {
			run := *r.Run
			run.ID = v.ID
			return &run
		}
	}
	return nil
}

func reverse[T any](s []T) {
	for i, j := 0, len(s)-1; i < j; i, j = i+1, j-1 {
		s[i], s[j] = s[j], s[i]
	}
}

// Train decides whether adaptive objectives learn from a finished validation:
// TrainingAccepted, TrainingRejected, or TrainingAuto to leave it to the
// verdict. Who decided and why becomes an event.
func (s *Service) Train(ctx context.Context, id, decision, who, reason string) (Validation, error) {
	if !oneOf(decision, TrainingAuto, TrainingAccepted, TrainingRejected) {
		return Validation{}, fault.InvalidField("decision", "unknown decision %q, expected accepted, rejected or auto", decision)
	}
	return s.decide(ctx, id, who, reason, TypeTraining, decision, func(v *Validation) error {
		v.Training = decision
		return nil
	})
}

// Accept has adaptive objectives learn from a validation whatever its status.
func (s *Service) Accept(ctx context.Context, id, who, reason string) (Validation, error) {
	return s.Train(ctx, id, TrainingAccepted, who, reason)
}

// Reject has adaptive objectives never learn from a validation.
func (s *Service) Reject(ctx context.Context, id, who, reason string) (Validation, error) {
	return s.Train(ctx, id, TrainingRejected, who, reason)
}

// Pin makes a finished validation the reference that adaptive objectives of
// its variant are held against instead of their history, or ends that. A
// variant has one reference: pinning another one replaces it.
func (s *Service) Pin(ctx context.Context, id string, pinned bool, who, reason string) (Validation, error) {
	to := "unpinned"
	if pinned {
		to = "pinned"
	}
	return s.decide(ctx, id, who, reason, TypePinned, to, func(v *Validation) error {
		if pinned {
			if err := s.unpinOthers(ctx, *v); err != nil {
				return err
			}
		}
		v.Pinned = pinned
		return nil
	})
}

func (s *Service) unpinOthers(ctx context.Context, v Validation) error {
	pinned, err := s.pinned(ctx, v)
	if err != nil {
		return err
	}
	for _, p := range pinned {
		if p.ID == v.ID {
			continue
		}
		other, err := s.store.Validation(ctx, p.ID) // whole, to be stored again
		if err != nil {
			return err
		}
		other.Pinned = false
		if err := s.store.Update(ctx, other); err != nil {
			return err
		}
	}
	return nil
}

// decide applies a person's decision to a finished validation.
func (s *Service) decide(ctx context.Context, id, who, reason, event, to string, apply func(*Validation) error) (Validation, error) {
	s.deciding.Lock()
	defer s.deciding.Unlock()
	v, err := s.store.Validation(ctx, id)
	if err != nil {
		return v, err
	}
	if v.State != StateFinished {
		return v, fault.Conflict("validation %s is %s: decide when it is finished", id, v.State)
	}
	if err := apply(&v); err != nil {
		return v, err
	}
	if err := s.store.Update(ctx, v); err != nil {
		return v, err
	}
	s.tell(v)
	return v, s.recordDecision(ctx, v, event, to, who, reason)
}
