package pipeline

import (
	"context"
	"time"
)

// Lease is the right of one process to work on a release until a time.
type Lease struct {
	Owner string
	Until time.Time
}

// Decision is a person's, or a verdict's, about an approval.
type Decision struct {
	Release string `json:"release"`
	Stage   string `json:"stage"`
	Action  string `json:"action"`
	Attempt int    `json:"attempt" doc:"of the stage"`
	Approval
}

// Store keeps releases, decisions and deployments. Safe for concurrent use;
// what was written survives a crash.
type Store interface {
	// Create stores a release that is queued, with the pipeline's next number.
	// One with the ID that is there already is returned as it is, with false.
	Create(ctx context.Context, r Release) (Release, bool, error)
	// Claimable returns the ids of unfinished releases that are due at now and
	// that owner may claim, oldest first.
	Claimable(ctx context.Context, owner string, now time.Time, limit int) ([]string, error)
	// Claim takes an unfinished release that nobody holds, or whose lease is
	// over, or that the owner holds already, due or not; false when another
	// has it.
	Claim(ctx context.Context, id string, l Lease, now time.Time) (Release, bool, error)
	// Save stores a release that the lease's owner holds, and the lease; a
	// fault of KindConflict when another holds it. A zero Until gives it up.
	Save(ctx context.Context, r Release, l Lease) error
	// Enter is Save of a release that now occupies its stage; false, and
	// nothing is stored, when another release of the pipeline occupies it.
	Enter(ctx context.Context, r Release, l Lease) (bool, error)
	// Reopen stores a release that is finished in the database and is not any
	// more in r; false when it is not finished there.
	Reopen(ctx context.Context, r Release) (bool, error)
	// Release returns one, or a fault of KindNotFound.
	Release(ctx context.Context, id string) (Release, error)
	// Releases returns the pipeline's (all when empty), newest first.
	Releases(ctx context.Context, q ReleaseQuery) ([]Release, error)

	// Decide stores a decision unless there is one for that attempt of the
	// action already; it returns the one that stands, and whether it is this.
	Decide(ctx context.Context, d Decision) (Decision, bool, error)
	// Decision returns the decision about an attempt of an action; false when
	// there is none.
	Decision(ctx context.Context, release, stage, action string, attempt int) (Decision, bool, error)

	// PutDeployment stores a deployment under its ID, replacing what was there.
	PutDeployment(ctx context.Context, d Deployment) error
	// Deployment returns one, or a fault of KindNotFound.
	Deployment(ctx context.Context, id string) (Deployment, error)
	// Deployments returns an environment's of an app, newest first; empty
	// texts do not restrict.
	Deployments(ctx context.Context, q DeploymentQuery) ([]Deployment, error)
}

// ReleaseQuery selects releases; zero fields do not restrict.
type ReleaseQuery struct {
	Pipeline   string
	Unfinished bool
	Limit      int // default 100
	Before     int // number; with Pipeline only
}

// DeploymentQuery selects deployments; zero fields do not restrict.
type DeploymentQuery struct {
	App, Environment string
	Release          string
	Limit            int // default 100
}
