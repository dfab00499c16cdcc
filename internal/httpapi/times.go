package httpapi

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// parseTime reads RFC 3339 or unix seconds (with a fraction).
func parseTime(s string) (time.Time, error) {
	if f, err := strconv.ParseFloat(s, 64); err == nil && math.Abs(f) < 1e11 {
		sec, frac := math.Modf(f)
		return time.Unix(int64(sec), int64(frac*1e9)).UTC(), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not a time: expected RFC 3339 or unix seconds", s)
	}
	return t, nil
}
