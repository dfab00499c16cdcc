package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/tidegate-io/tidegate/fault"
)

// wrap gives an error of the database context and a kind: what passes by
// itself (a lock, a full disk, a server that is down) is unavailable, the
// rest is ours. Faults and context errors keep their identity.
func wrap(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), hasKind(err):
		return fmt.Errorf("state: %s: %w", op, err)
	case passing(err):
		return fault.Unavailable("state: %s: %w", op, err)
	}
	return fault.Internal("state: %s: %w", op, err)
}

func hasKind(err error) bool {
	var f *fault.Error
	return errors.As(err, &f)
}

func passing(err error) bool {
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		switch lite.Code() & 0xff {
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR:
			return true
		}
		return false
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		// 08 connection, 40 serialization and deadlock, 53 out of resources,
		// 57P shutting down.
		for _, class := range []string{"08", "40", "53", "57P"} {
			if strings.HasPrefix(pg.Code, class) {
				return true
			}
		}
		return false
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, sql.ErrConnDone)
}
