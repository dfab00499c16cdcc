// Package card is the shop's client of its credit card processor: it checks
// the card, gets a token for the customer's loyalty programme and has the
// amount authorized.
//
// The client holds tokens for loyalty members. FailureRate is a fault that
// somebody may switch on: the share of requests for which an outdated token
// is taken, which the processor then refuses.
package card

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"
)

// Request is one amount to charge.
type Request struct {
	Number      string
	ExpiryYear  int
	ExpiryMonth int
	Amount      float64
	Currency    string
	Loyalty     string // level of the customer's membership, may be empty
}

// Processor is the client. Safe for concurrent use.
type Processor struct {
	// Authorize takes the time that the processor's network takes.
	Authorize func(context.Context) error
	// FailureRate is asked on every charge.
	FailureRate func(context.Context) float64
	Now         func() time.Time
}

// Charge takes the amount and returns the transaction.
func (p *Processor) Charge(ctx context.Context, r Request) (transaction string, err error) {
	if err := p.checkCard(r); err != nil {
		return "", err
	}
	return p.authorize(ctx, r, p.token(ctx, r))
}

// token is a promise of the loyalty programme.
type token struct {
	level   string
	expires time.Time
}

func (p *Processor) token(ctx context.Context, r Request) token {
	t := token{level: r.Loyalty, expires: p.Now().Add(time.Minute)}
	if rand.Float64() < p.FailureRate(ctx) {
		t.expires = p.Now().Add(-time.Minute) // the outdated one
	}
	return t
}

func (p *Processor) authorize(ctx context.Context, r Request, t token) (string, error) {
	if err := p.Authorize(ctx); err != nil {
		return "", err
	}
	request := fmt.Sprintf("%016x", rand.Uint64())
	if t.expires.Before(p.Now()) {
		return "", &InvalidTokenError{Level: t.level, Request: request, callers: callers()}
	}
	return request, nil
}

// InvalidTokenError says that the processor refused the loyalty token.
type InvalidTokenError struct {
	Level   string
	Request string
	callers []uintptr
}

func (e *InvalidTokenError) Error() string {
	return fmt.Sprintf("Payment request failed. Invalid token. app.loyalty.level=%s request=%s", e.Level, e.Request)
}

// Callers is the stack of where the error began.
func (e *InvalidTokenError) Callers() []uintptr { return e.callers }

// DeclinedError says that the card cannot be charged, which is the customer's
// affair.
type DeclinedError struct{ Reason string }

func (e *DeclinedError) Error() string { return "card declined: " + e.Reason }

func (p *Processor) checkCard(r Request) error {
	if !luhn(r.Number) {
		return &DeclinedError{"the number is wrong"}
	}
	if end := time.Date(r.ExpiryYear, time.Month(r.ExpiryMonth)+1, 1, 0, 0, 0, 0, time.UTC); !p.Now().Before(end) {
		return &DeclinedError{"it has expired"}
	}
	return nil
}

// luhn checks the check digit of a card number (ISO/IEC 7812-1, annex B).
func luhn(number string) bool {
	sum, digits := 0, 0
	for i := len(number) - 1; i >= 0; i-- {
		c := number[i]
		if c == ' ' || c == '-' {
			continue
		}
		if c < '0' || c > '9' {
			return false
		}
		d := int(c - '0')
		if digits%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum, digits = sum+d, digits+1
	}
	return digits >= 12 && sum%10 == 0
}

// callers is the stack from the function that calls it.
func callers() []uintptr {
	pcs := make([]uintptr, 32)
	return pcs[:runtime.Callers(2, pcs)]
}
