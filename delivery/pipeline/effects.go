package pipeline

import (
	"context"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/delivery/deploy"
)

// Deployers finds a deployer by its name and the strategy it is to follow.
// An unknown one is a fault of KindInvalid that lists the known ones.
type Deployers interface {
	Deployer(with, strategy string) (deploy.Deployer, error)
}

// Validator gives verdicts. Both methods answer at once.
type Validator interface {
	// Register asks for a verdict; idempotent by Key.
	Register(ctx context.Context, r ValidationRequest) (Verdict, error)
	// Verdict returns what became of it.
	Verdict(ctx context.Context, v Verdict) (Verdict, error)
}

// ValidationRequest asks for a verdict.
type ValidationRequest struct {
	Key         string
	Pipeline    string
	Release     string
	Stage       string
	Environment string
	Version     string
	Service     string
	Validate    Validate // which comparison or guardian
	Who         string
}

// LoadTester runs load tests. Both methods answer at once.
type LoadTester interface {
	// Start begins a run; idempotent by key.
	Start(ctx context.Context, test, who, key string) (LoadRun, error)
	// LoadRun returns what became of it.
	LoadRun(ctx context.Context, run string) (LoadRun, error)
}

// Recorder records change events; recording one again is harmless.
type Recorder interface {
	Record(ctx context.Context, e change.Event) (change.Event, error)
}

// Caller does what the outside is asked for. The limit of the time is ctx's.
type Caller interface {
	// Command runs a program and returns the end of what it wrote.
	Command(ctx context.Context, c Command, env map[string]string) (output string, err error)
	// Webhook posts body with the idempotency key and returns the beginning of
	// the answer.
	Webhook(ctx context.Context, w Webhook, key string, body []byte) (output string, err error)
}

// Artifacts compares contents that Tidegate holds.
type Artifacts interface {
	// DiffFiles returns nothing when one of the two is not there (any more).
	DiffFiles(ctx context.Context, from, to string) (*FileDiff, error)
}

// Call is what a webhook gets as its body.
type Call struct {
	Key         string          `json:"key"`
	Pipeline    string          `json:"pipeline"`
	Release     string          `json:"release"`
	Number      int             `json:"number"`
	Stage       string          `json:"stage"`
	Environment string          `json:"environment"`
	Revision    deploy.Revision `json:"revision"`
	At          time.Time       `json:"at"`
}
