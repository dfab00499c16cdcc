// Package notify holds what Tidegate says to the outside as values: messages,
// the channels they go to, and the outbox that remembers what was not said
// yet.
//
// A message is stored before it is sent (intent), sent with its ID as
// idempotency key (attempt), and marked delivered (record). A crash between
// sending and recording sends it again with the same key: receivers that
// respect the key see every message once. A message that keeps failing ends
// as a dead letter, which is kept and listed, never silently dropped.
package notify

import (
	"context"
	"encoding/json"
	"path"
	"time"
)

// Channel is where messages can go. Exactly one transport is set.
type Channel struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"`
	// Webhook posts messages to a URL.
	Webhook *Webhook `json:"webhook,omitempty"`
	// Dynatrace comments on the problems that came from there.
	Dynatrace *Dynatrace `json:"dynatrace,omitempty"`
	// Events are patterns of event types ("validation.*") that go to this
	// channel by themselves, as CloudEvents.
	Events []string `json:"events,omitempty"`
	// Since, when set, is when the channel came into force. What is published
	// again after a crash does not go to channels that came later than it.
	Since time.Time `json:"-"`
}

// Wants reports whether the channel subscribes to events of a type.
func (c *Channel) Wants(eventType string) bool {
	for _, p := range c.Events {
		if ok, err := path.Match(p, eventType); err == nil && ok {
			return true
		}
	}
	return false
}

// Webhook is an HTTP endpoint that takes POSTs.
type Webhook struct {
	URL     string            `json:"url"`
	Secret  *Secret           `json:"secret,omitempty" doc:"key of the HMAC-SHA256 signature"`
	Headers map[string]string `json:"headers,omitempty"`
}

// Dynatrace is an environment whose problems come here.
type Dynatrace struct {
	// URL of the environment, https://ENVIRONMENT.live.dynatrace.com.
	URL string `json:"url"`
	// Token with the scope to write problem comments.
	Token *Secret `json:"token"`
}

// Secret refers to a secret; the value itself is never part of a definition.
// Exactly one of Env and File is set.
type Secret struct {
	Env  string `json:"env,omitempty" doc:"name of an environment variable"`
	File string `json:"file,omitempty" doc:"path of a file; read at every use, so it can be rotated"`
}

// Message is something to say to a channel.
type Message struct {
	// ID is unique and serves as the idempotency key.
	ID      string `json:"id"`
	Channel string `json:"channel"`
	// Type says what the message is about: an event type, or "workflow.notification".
	Type string `json:"type"`
	// ContentType of Body, for example application/cloudevents+json.
	ContentType string `json:"contentType"`
	// Path below the channel's URL; empty for the URL itself.
	Path    string          `json:"path,omitempty"`
	Body    json.RawMessage `json:"body"`
	Created time.Time       `json:"created"`
}

// State of a delivery.
type State string

// The states.
const (
	StatePending   State = "pending"
	StateDelivered State = "delivered"
	StateDead      State = "dead"
)

// Delivery is a message in the outbox.
type Delivery struct {
	Message
	State State `json:"state"`
	// Attempts counts the claims so far, this one included.
	Attempts int `json:"attempts"`
	// Next is when it may be claimed (again).
	Next    time.Time `json:"next"`
	Updated time.Time `json:"updated"`
	Error   string    `json:"error,omitempty" doc:"of the last attempt"`
}

// Outbox remembers messages until they are delivered. Safe for concurrent
// use, by several processes; what returned without an error survives a crash.
type Outbox interface {
	// Put stores a message; false when its ID is there already.
	Put(ctx context.Context, m Message) (created bool, err error)
	// Claim returns at most limit pending messages that are due, oldest
	// first, counts an attempt for each, and hides them from other claims
	// until now+lease.
	Claim(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]Delivery, error)
	// Resolve records the outcome of an attempt: State, Next, Updated and
	// Error of the delivery are stored.
	Resolve(ctx context.Context, d Delivery) error
	// Deliveries returns the newest first; an empty state does not restrict.
	Deliveries(ctx context.Context, state State, limit int) ([]Delivery, error)
}
