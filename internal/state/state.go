// Package state keeps what must not be lost in one relational database:
// changes, flag overrides and their audit, validations, load-test runs,
// workflow runs, manifests and the outbox. SQLite serves one machine,
// PostgreSQL several replicas; both stand behind the same stores and pass the
// same suite (package storetest).
//
//	db, err := state.Open(ctx, state.Config{URL: "sqlite:///var/lib/tidegate/state.db"})
//	defer db.Close()
//	log := change.NewLog(change.Config{Store: db.Changes()})
//
// A value is stored whole as JSON, beside the columns it is searched by, so
// that a new field of a domain type needs no migration. Strings from outside
// keep every character in the JSON; in the columns NUL, which databases
// refuse, is replaced.
//
// Durability: what returned without an error survives kill -9 of the process.
// SQLite runs in WAL mode with synchronous=NORMAL: after a loss of power the
// last transactions may be missing, the database is never corrupt. All writes
// go through one connection, so writers queue in the process instead of
// failing on each other's locks.
//
// Migrations are embedded and run at Open. Replicas on PostgreSQL may start at
// once; a SQLite file belongs to one process.
package state

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite" // driver "sqlite"

	"github.com/tidegate-io/tidegate/fault"
)

//go:embed migrations
var migrations embed.FS

// Connections of the pools.
const (
	sqliteReaders = 4
	postgresConns = 12
)

// Config says where the database is.
type Config struct {
	// URL is "sqlite://path/to/file" (three slashes for an absolute path; its
	// directory is created) or "postgres://user:password@host/database?…".
	URL string
	// Logger is told of migrations; nil discards.
	Logger *slog.Logger
}

// DB is an open database. Its stores are safe for concurrent use.
type DB struct {
	read, write *bun.DB
	postgres    bool
}

// Open connects and migrates.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	db, err := connect(cfg.URL)
	if err != nil {
		return nil, err
	}
	if err := db.migrate(ctx, cfg.Logger); err != nil {
		_ = db.Close() // the reason is in err
		return nil, err
	}
	return db, nil
}

func connect(rawURL string) (*DB, error) {
	if path, ok := strings.CutPrefix(rawURL, "sqlite://"); ok {
		return connectSQLite(path)
	}
	if strings.HasPrefix(rawURL, "postgres://") || strings.HasPrefix(rawURL, "postgresql://") {
		return connectPostgres(rawURL)
	}
	scheme, _, _ := strings.Cut(rawURL, ":") // never the whole URL: it may hold a password
	return nil, fault.Invalid("state: expected a URL sqlite://path or postgres://…, found %q", scheme)
}

func connectSQLite(path string) (*DB, error) {
	if path == "" || strings.HasPrefix(path, ":memory:") {
		return nil, fault.Invalid("state: sqlite:// needs the path of a file")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	open := func(conns int, pragmas ...string) (*bun.DB, error) {
		q := url.Values{"_txlock": {"immediate"}, "_pragma": append([]string{
			"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(1)"}, pragmas...)}
		pool, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
		if err != nil {
			return nil, fmt.Errorf("state: open sqlite: %w", err)
		}
		pool.SetMaxOpenConns(conns)
		pool.SetMaxIdleConns(conns)
		return bun.NewDB(pool, sqlitedialect.New()), nil
	}
	w, err := open(1)
	if err != nil {
		return nil, err
	}
	r, err := open(sqliteReaders, "query_only(1)")
	if err != nil {
		return nil, err
	}
	return &DB{read: r, write: w}, nil
}

func connectPostgres(rawURL string) (*DB, error) {
	cfg, err := pgx.ParseConfig(rawURL)
	if err != nil {
		return nil, fault.Invalid("state: %w", err) // pgx hides the password
	}
	pool := stdlib.OpenDB(*cfg)
	pool.SetMaxOpenConns(postgresConns)
	pool.SetMaxIdleConns(postgresConns)
	db := bun.NewDB(pool, pgdialect.New())
	return &DB{read: db, write: db, postgres: true}, nil
}

func (db *DB) migrate(ctx context.Context, log *slog.Logger) error {
	dir, dialect := "migrations/sqlite", goose.DialectSQLite3
	opts := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	if db.postgres {
		dir, dialect = "migrations/postgres", goose.DialectPostgres
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return fmt.Errorf("state: migration lock: %w", err)
		}
		opts = append(opts, goose.WithSessionLocker(locker))
	}
	files, err := fs.Sub(migrations, dir)
	if err != nil {
		return fmt.Errorf("state: migrations: %w", err)
	}
	p, err := goose.NewProvider(dialect, db.write.DB, files, opts...)
	if err != nil {
		return fmt.Errorf("state: migrations: %w", err)
	}
	done, err := p.Up(ctx)
	if err != nil {
		return wrap("migrate", err)
	}
	for _, m := range done {
		log.InfoContext(ctx, "migrated the state database", "migration", m.Source.Path, "took", m.Duration)
	}
	return nil
}

// Close closes the connections; what is running is waited for.
func (db *DB) Close() error {
	err := db.write.Close()
	if db.read != db.write {
		if rerr := db.read.Close(); err == nil {
			err = rerr
		}
	}
	return wrap("close", err)
}

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error { return wrap("ping", db.read.PingContext(ctx)) }

// inTx runs f in one write transaction.
func (db *DB) inTx(ctx context.Context, f func(tx bun.Tx) error) error {
	return db.write.RunInTx(ctx, nil, func(_ context.Context, tx bun.Tx) error { return f(tx) })
}
