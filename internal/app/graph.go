package app

import (
	"context"
	"math"
	"time"

	"github.com/tidegate-io/tidegate/internal/jaegerapi"
	"github.com/tidegate-io/tidegate/telemetry"
)

// dependencies returns the calls between services, as Jaeger shows them.
func (a *App) dependencies(ctx context.Context, from, to time.Time) ([]jaegerapi.Dependency, error) {
	increases, err := a.metrics.Increases(ctx, telemetry.MetricGraphRequests, from, to)
	if err != nil {
		return nil, err
	}
	index := map[jaegerapi.Dependency]int{}
	var out []jaegerapi.Dependency
	for _, i := range increases {
		edge := jaegerapi.Dependency{Parent: i.Labels[telemetry.LabelClient], Child: i.Labels[telemetry.LabelServer]}
		at, known := index[edge]
		if !known {
			at = len(out)
			index[edge] = at
			out = append(out, edge)
		}
		out[at].CallCount += uint64(math.Round(i.Value))
	}
	return out, nil
}
