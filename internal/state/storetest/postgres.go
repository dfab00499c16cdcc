//go:build unix

package storetest

import (
	"bytes"
	"database/sql"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // driver "pgx"
)

// Postgres is a real server for the length of a test.
type Postgres struct {
	dir       string
	databases atomic.Int64
}

// StartPostgres starts a server in a directory of its own, on a unix socket,
// and stops it at the end of the test. Skips the test where the programs
// initdb and postgres are missing. PostgreSQL refuses to run as root; then it
// runs as nobody.
func StartPostgres(t *testing.T) *Postgres {
	t.Helper()
	for _, program := range []string{"initdb", "postgres"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no PostgreSQL here: %v", err)
		}
	}
	dir, err := os.MkdirTemp("", "tidegate-pg") // t.TempDir is closed to other users
	ok(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	attr := unprivileged(t, dir)

	data := filepath.Join(dir, "data")
	initdb := exec.Command("initdb", "-D", data, "-U", "tidegate", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	initdb.SysProcAttr, initdb.Dir = attr, dir
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	p := &Postgres{dir: dir}
	p.start(t, data, attr)
	return p
}

// start runs the server below a shell that stops it when its standard input
// ends: a test process that is killed leaves nothing behind.
func (p *Postgres) start(t *testing.T, data string, attr *syscall.SysProcAttr) {
	t.Helper()
	const script = `postgres -D "$0" -k "$1" -c listen_addresses= -c fsync=off -c max_connections=50 & pid=$!; read _; kill -INT $pid; wait $pid`
	server := exec.Command("sh", "-c", script, data, p.dir)
	server.SysProcAttr, server.Dir = attr, p.dir
	var logs bytes.Buffer
	server.Stdout, server.Stderr = &logs, &logs
	stdin, err := server.StdinPipe()
	ok(t, err)
	ok(t, server.Start())
	t.Cleanup(func() { stop(t, server, stdin, &logs) })

	admin, err := sql.Open("pgx", p.url("postgres"))
	ok(t, err)
	defer admin.Close()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if err = admin.PingContext(t.Context()); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("PostgreSQL does not answer: %v", err)
		}
	}
}

func stop(t *testing.T, server *exec.Cmd, stdin io.Closer, logs *bytes.Buffer) {
	_ = stdin.Close() // the shell sees the end and stops the server
	if err := server.Wait(); err != nil {
		t.Errorf("PostgreSQL did not stop cleanly: %v\n%s", err, logs)
	}
}

func unprivileged(t *testing.T, dir string) *syscall.SysProcAttr {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skipf("PostgreSQL does not run as root: %v", err)
	}
	uid, err := strconv.ParseUint(nobody.Uid, 10, 32)
	ok(t, err)
	gid, err := strconv.ParseUint(nobody.Gid, 10, 32)
	ok(t, err)
	ok(t, os.Chown(dir, int(uid), int(gid)))
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

func (p *Postgres) url(database string) string {
	return fmt.Sprintf("postgres:///%s?host=%s&user=tidegate", database, p.dir)
}

// Database creates an empty database and returns its URL.
func (p *Postgres) Database(t *testing.T) string {
	t.Helper()
	admin, err := sql.Open("pgx", p.url("postgres"))
	ok(t, err)
	defer admin.Close()
	name := fmt.Sprintf("test%d", p.databases.Add(1))
	_, err = admin.ExecContext(t.Context(), "CREATE DATABASE "+name)
	ok(t, err)
	return p.url(name)
}
