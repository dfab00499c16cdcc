package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"time"

	"github.com/tidegate-io/tidegate/guardian"
)

// followEvery is how often a running validation is asked for: slices are two
// seconds at least.
const followEvery = time.Second

// follow waits for the verdict and writes a line for each look of a watch.
func follow(ctx context.Context, api *client, v guardian.Validation, every time.Duration, progress io.Writer) (guardian.Validation, error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var last time.Time
	for v.State != guardian.StateFinished {
		select {
		case <-ctx.Done():
			return v, ctx.Err()
		case <-tick.C:
		}
		var err error
		if v, err = get[guardian.Validation](ctx, api, "/v1/validations/"+url.PathEscape(v.ID), nil); err != nil {
			return v, err
		}
		if at := lastLook(v); at.After(last) && v.State == guardian.StateRunning {
			last = at
			fmt.Fprintf(progress, "%s  %s\n", at.Local().Format("15:04:05"), v.Headline)
		}
	}
	return v, nil
}

// lastLook is when a watch was looked at last; zero when it was not.
func lastLook(v guardian.Validation) (last time.Time) {
	if v.Watch == nil {
		return last
	}
	for _, c := range v.Watch.Courses {
		if n := len(c.Looks); n > 0 && c.Looks[n-1].Time.After(last) {
			last = c.Looks[n-1].Time
		}
	}
	return last
}

// isTerminal reports whether a person reads what is written there.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	fi, err := f.Stat()
	return err == nil && fi.Mode()&os.ModeCharDevice != 0
}
