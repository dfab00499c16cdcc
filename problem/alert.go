package problem

import "time"

// AlertState is what became of an alert.
type AlertState string

// The states of an alert.
const (
	AlertWaiting AlertState = "waiting" // for the profile's delay
	AlertSent    AlertState = "sent"    // said, or stored to be said
	AlertSkipped AlertState = "skipped" // Why says why
)

// Alert is that an alerting profile wants to tell of a problem. A problem has
// one for each profile that it matches, each time it is opened.
type Alert struct {
	Profile  string     `json:"profile"`
	Channels []string   `json:"channels,omitempty"`
	State    AlertState `json:"state"`
	// Due is when the delay is over.
	Due  time.Time `json:"due"`
	Sent time.Time `json:"sent,omitzero"`
	// Cleared is when it was said that the problem is over.
	Cleared time.Time `json:"cleared,omitzero"`
	Why     string    `json:"why,omitempty"`
	// Episode is the number of times that the problem was reopened before.
	Episode int `json:"episode,omitempty"`
}
