package evidence

import "context"

type group struct{}

func (g *gathering) failures(ctx context.Context) {}
func (g *gathering) slow(ctx context.Context)     {}
func (g *gathering) logs(ctx context.Context)     {}
func (g *gathering) changes(ctx context.Context)  {}
