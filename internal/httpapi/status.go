package httpapi

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Status says how the server is.
type Status struct {
	Version       string    `json:"version"`
	Started       time.Time `json:"started"`
	UptimeSeconds float64   `json:"uptimeSeconds"`
	UIBuilt       bool      `json:"uiBuilt"`
	// Details holds the figures of ingest and storage.
	Details any `json:"details"`
}

func (a *server) registerStatus(api huma.API) {
	huma.Get(api, "/v1/status", call(a, func(context.Context, *struct{}) (Status, error) {
		return Status{
			Version: a.Version, Started: a.Started, UIBuilt: a.UIBuilt,
			UptimeSeconds: a.Clock().Sub(a.Started).Seconds(),
			Details:       a.Stats(),
		}, nil
	}))
}
