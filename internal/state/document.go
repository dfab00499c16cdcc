package state

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/tidegate-io/tidegate/fault"
)

// Limits on what is stored.
const (
	maxID       = 256
	maxEvent    = 1 << 20
	maxDocument = 16 << 20
	maxList     = 1000
	defaultList = 100
)

// encode writes v as JSON of at most limit bytes.
func encode(what string, v any, limit int) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fault.Invalid("state: %s cannot be written as JSON: %w", what, err)
	}
	if len(b) > limit {
		return "", fault.Invalid("state: %s has %d bytes, the limit is %d", what, len(b), limit)
	}
	return string(b), nil
}

func decode[T any](doc string) (T, error) {
	var v T
	if err := json.Unmarshal([]byte(doc), &v); err != nil {
		return v, fault.Internal("state: a stored %T cannot be read: %w", v, err)
	}
	return v, nil
}

func decodeAll[T any](docs []string) ([]T, error) {
	out := make([]T, len(docs))
	for i, d := range docs {
		v, err := decode[T](d)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

// one scans a single document; no row is a fault of KindNotFound.
func one[T any](ctx context.Context, q *bun.SelectQuery, what, id string) (T, error) {
	var doc string
	var zero T
	err := q.Limit(1).Scan(ctx, &doc)
	if errors.Is(err, sql.ErrNoRows) {
		return zero, fault.NotFound("no %s %q", what, id)
	}
	if err != nil {
		return zero, wrap("read "+what, err)
	}
	return decode[T](doc)
}

// list scans documents.
func list[T any](ctx context.Context, q *bun.SelectQuery, what string) ([]T, error) {
	var docs []string
	if err := q.Scan(ctx, &docs); err != nil {
		return nil, wrap("list "+what, err)
	}
	return decodeAll[T](docs)
}

// changed reports whether a statement touched a row.
func changed(res sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// checkID refuses identifiers that a column cannot hold unchanged.
func checkID(what, id string) error {
	if id == "" || len(id) > maxID || column(id) != id {
		return fault.Invalid("%s id %.40q: expected 1 to %d bytes of text", what, id, maxID)
	}
	return nil
}

// column makes a string fit for a text column of either database.
func column(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func limited(n int) int64 {
	if n <= 0 {
		return defaultList
	}
	return int64(min(n, maxList))
}

var firstNano, lastNano = time.Unix(0, math.MinInt64), time.Unix(0, math.MaxInt64)

// nanos is t in nanoseconds since 1970; times that do not fit (before 1678,
// after 2262; the zero time) become the nearest that does.
func nanos(t time.Time) int64 {
	switch {
	case t.Before(firstNano):
		return math.MinInt64
	case t.After(lastNano):
		return math.MaxInt64
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == math.MinInt64 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
