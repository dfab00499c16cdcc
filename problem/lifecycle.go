package problem

import (
	"context"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tidegate-io/tidegate/fault"
)

// Problem returns one problem with its evidence, by its id or by its name
// (P-17), or a fault of KindNotFound.
func (s *Service) Problem(ctx context.Context, id string) (Problem, error) {
	id, err := s.resolve(ctx, id)
	if err != nil {
		return Problem{}, err
	}
	return s.store.Problem(ctx, id)
}

// Problems returns matching problems, newest first, without evidence.
func (s *Service) Problems(ctx context.Context, q Query) ([]Problem, error) {
	return s.store.Problems(ctx, q)
}

// resolve turns a name into an id.
func (s *Service) resolve(ctx context.Context, id string) (string, error) {
	digits, named := strings.CutPrefix(strings.ToUpper(id), "P-")
	if !named {
		return id, nil
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n < 1 {
		return "", fault.NotFound("no problem %q", id)
	}
	list, err := s.store.Problems(ctx, Query{Before: n + 1, Limit: 1})
	if err != nil {
		return "", err
	}
	if len(list) == 0 || list[0].Number != n {
		return "", fault.NotFound("no problem %q", id)
	}
	return list[0].ID, nil
}

// Comment adds to the story of a problem, open or closed. Kind is "comment"
// when empty; Link is a URL, or a path on this server.
func (s *Service) Comment(ctx context.Context, id string, c Comment) error {
	if err := checkPerson(c.Who, "text", c.Text); err != nil {
		return err
	}
	if !safeLink(c.Link) {
		return fault.InvalidField("link", "expected an http or https URL, or a path")
	}
	return s.change(ctx, id, func(b *board, r *Record) error {
		if c.Time.IsZero() {
			c.Time = b.now
		}
		if c.Kind == "" {
			c.Kind = "comment"
		}
		r.say(c)
		return nil
	})
}

// safeLink admits only what a browser may be sent to.
func safeLink(link string) bool {
	path := strings.HasPrefix(link, "/") && !strings.HasPrefix(link, "//")
	return link == "" || len(link) <= maxURL && (path || strings.HasPrefix(link, "http://") || strings.HasPrefix(link, "https://"))
}

// Acknowledge says who looks after the problem; alerts that still wait are not
// sent.
func (s *Service) Acknowledge(ctx context.Context, id, who, text string) (Problem, error) {
	if err := checkPerson(who, "", ""); err != nil {
		return Problem{}, err
	}
	err := s.change(ctx, id, func(b *board, r *Record) error { return r.acknowledge(b, who, text) })
	if err != nil {
		return Problem{}, err
	}
	return s.Problem(ctx, id)
}

func (r *Record) acknowledge(b *board, who, text string) error {
	if r.State != StateOpen {
		return fault.Conflict("%s is closed", r.Name())
	}
	if r.AcknowledgedBy == who {
		return nil
	}
	r.AcknowledgedBy = who
	r.say(Comment{Time: b.now, Who: who, Text: "Looked after by " + who + reason(text), Kind: "acknowledged"})
	return nil
}

// AcknowledgeEvent is Acknowledge for the open problem that an event is of; an
// event that is of none is nothing to do.
func (s *Service) AcknowledgeEvent(ctx context.Context, eventID, who string) error {
	return s.step(ctx, scope{events: []string{eventID}}, func(b *board) error {
		r := b.owner[eventID]
		if r == nil || r.State != StateOpen {
			return nil
		}
		b.touch(r)
		return r.acknowledge(b, who, "")
	})
}

// Close closes a problem although events of it last; those do not open it
// again.
func (s *Service) Close(ctx context.Context, id, who, why string) (Problem, error) {
	if err := checkPerson(who, "reason", why); err != nil {
		return Problem{}, err
	}
	err := s.change(ctx, id, func(b *board, r *Record) error {
		if r.State != StateOpen {
			return fault.Conflict("%s is closed already", r.Name())
		}
		b.close(r, note{kind: noteClosed, who: who, why: why})
		return nil
	})
	if err != nil {
		return Problem{}, err
	}
	return s.Problem(ctx, id)
}

// change takes a step with one problem.
func (s *Service) change(ctx context.Context, id string, f func(b *board, r *Record) error) error {
	id, err := s.resolve(ctx, id)
	if err != nil {
		return err
	}
	return s.step(ctx, scope{problems: []string{id}}, func(b *board) error {
		r := b.record(id)
		b.touch(r)
		return f(b, r)
	})
}

func (b *board) record(id string) *Record {
	for _, r := range b.records {
		if r.ID == id {
			return r
		}
	}
	return nil
}

func checkPerson(who, field, text string) error {
	switch {
	case who == "":
		return fault.InvalidField("who", "is required")
	case utf8.RuneCountInString(who) > maxWho:
		return fault.InvalidField("who", "is longer than %d characters", maxWho)
	case field != "" && text == "":
		return fault.InvalidField(field, "is required")
	case field != "" && len(text) > maxComment:
		return fault.InvalidField(field, "is longer than %d bytes", maxComment)
	}
	return nil
}
