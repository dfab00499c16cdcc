package app

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/tidegate-io/tidegate/internal/jaegerapi"
	"github.com/tidegate-io/tidegate/telemetry"
)

// dependencies returns the calls between services, as Jaeger shows them.
func (a *App) dependencies(ctx context.Context, from, to time.Time) ([]jaegerapi.Dependency, error) {
	q := fmt.Sprintf("sum by (%s, %s) (increase(%s[%dms]))", telemetry.LabelClient, telemetry.LabelServer,
		telemetry.MetricGraphRequests, max(to.Sub(from).Milliseconds(), 1))
	matrix, err := a.metrics.Query(ctx, q, to)
	if err != nil {
		return nil, err
	}
	var out []jaegerapi.Dependency
	for _, s := range matrix {
		if n := len(s.Floats); n > 0 && s.Floats[n-1].F > 0 {
			out = append(out, jaegerapi.Dependency{
				Parent: s.Metric.Get(telemetry.LabelClient), Child: s.Metric.Get(telemetry.LabelServer),
				CallCount: uint64(math.Round(s.Floats[n-1].F)),
			})
		}
	}
	return out, nil
}
