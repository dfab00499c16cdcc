//go:build unix

package state_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/flag"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/internal/state"
	"github.com/tidegate-io/tidegate/notify"
	"github.com/tidegate-io/tidegate/problem"
	"github.com/tidegate-io/tidegate/workflow"
)

// The environment of a child: the test binary started again to be killed.
const (
	childRole  = "TIDEGATE_TEST_CHILD" // "writer" or "engine"
	childDir   = "TIDEGATE_TEST_DIR"
	childDeath = "TIDEGATE_TEST_DEATH" // the boundary to die at; 0: never
)

func TestMain(m *testing.M) {
	role, dir := os.Getenv(childRole), os.Getenv(childDir)
	var err error
	switch role {
	case "":
		os.Exit(m.Run())
	case "writer":
		err = writer(dir)
	case "engine":
		err = engine(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func child(t *testing.T, role, dir string, death int) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	c := exec.CommandContext(ctx, self)
	c.Env = append(os.Environ(), childRole+"="+role, childDir+"="+dir, childDeath+"="+strconv.Itoa(death))
	c.Stderr = os.Stderr
	return c
}

func openFile(dir string) (*state.DB, error) {
	return state.Open(context.Background(), state.Config{URL: "sqlite://" + filepath.Join(dir, "state.db")})
}

// writer stores things without end and says each time what was acknowledged.
func writer(dir string) error {
	db, err := openFile(dir)
	if err != nil {
		return err
	}
	ctx := context.Background()
	for i := 0; ; i++ {
		id := strconv.Itoa(i)
		_, err1 := db.Flags().SetOverride(ctx, flag.Override{Set: "s", Key: id, Variant: "on"}, flag.Audit{ID: id, Set: "s", Key: id, At: time.Now()}, id)
		_, _, err2 := db.Guardians().Create(ctx, guardian.Validation{ID: id, Guardian: "g", Created: time.Now()})
		_, err3 := db.Outbox().Put(ctx, notify.Message{ID: id, Body: json.RawMessage(`{}`)})
		err4 := db.Changes().Add(ctx, change.Event{ID: id, Type: "x", Start: time.Now(), Ref: entity.Ref{Service: "s"}})
		err5 := db.Problems().Update(ctx, func(ctx context.Context, tx problem.Tx) error {
			n, err := tx.NextNumber(ctx)
			if err != nil {
				return err
			}
			return tx.Save(ctx, problem.Record{Problem: problem.Problem{ID: id, Number: n, Opened: time.Now(), Events: []problem.Event{{ID: "e" + id}}}})
		})
		if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
			return err
		}
		fmt.Println(id)
	}
}

// Nothing that was acknowledged is lost to kill -9.
func TestAcknowledgedSurvivesKill(t *testing.T) {
	dir := t.TempDir()
	c := child(t, "writer", dir, 0)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	acknowledged := 0
	lines := bufio.NewScanner(out)
	for acknowledged < 300 && lines.Scan() {
		acknowledged++
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // what it said before it died counts, too
		acknowledged++
	}
	_ = c.Wait() // killed
	if acknowledged < 300 {
		t.Fatalf("only %d writes before the kill", acknowledged)
	}
	db := open(t, "sqlite://"+filepath.Join(dir, "state.db"))
	overrides, err := db.Flags().Overrides(t.Context())
	if err != nil || len(overrides) < acknowledged {
		t.Errorf("%d overrides of %d, %v", len(overrides), acknowledged, err)
	}
	for i := range acknowledged {
		id := strconv.Itoa(i)
		_, err1 := db.Changes().Event(t.Context(), id)
		v, err2 := db.Guardians().Validation(t.Context(), id)
		fresh, err3 := db.Outbox().Put(t.Context(), notify.Message{ID: id, Body: json.RawMessage(`{}`)})
		p, err4 := db.Problems().Problem(t.Context(), id)
		if err := errors.Join(err1, err2, err3, err4); err != nil || fresh || v.Number != i+1 || p.Number != i+1 {
			t.Fatalf("write %d of %d: %v, message lost %v, numbers %d and %d", i, acknowledged, err, fresh, v.Number, p.Number)
		}
	}
}

// engine executes one run and dies at the boundary it is told.
func engine(dir string) error {
	db, err := openFile(dir)
	if err != nil {
		return err
	}
	w := &outside{dir: dir}
	w.left.Store(-1)
	if n, err := strconv.Atoi(os.Getenv(childDeath)); err == nil && n > 0 {
		w.left.Store(int64(n))
	}
	done := make(chan struct{}, 1)
	e, err := workflow.New(workflow.Config{Store: mortal{db.Workflows(), w}, Validator: w, Undoer: w, Notifier: w, Owner: "only",
		Changed: func(r workflow.Run) {
			if r.State == workflow.StateDone || r.State == workflow.StateFailed {
				done <- struct{}{}
			}
		}})
	if err != nil {
		return err
	}
	flow := workflow.Workflow{Name: "w", On: workflow.Trigger{Event: "test.finished"}, Steps: []workflow.Step{
		{Name: "verdict", Validate: &workflow.ValidateStep{Guardian: "g", Last: "1m"}},
		{Name: "undo", If: `steps.verdict.status == "fail"`, Undo: &workflow.UndoStep{Change: "${steps.verdict.cause.change}"}},
		{Name: "tell", Always: true, Notify: &workflow.NotifyStep{Channel: "c"}},
	}}
	if err := e.Define([]workflow.Workflow{flow}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if _, err := e.Trigger(ctx, change.Event{ID: "e", Type: "test.finished"}); err != nil {
		return err
	}
	ended := make(chan error)
	go func() { ended <- e.Run(ctx) }()
	if r, err := e.WorkflowRun(ctx, workflow.RunID("w", "e")); err != nil || r.State != workflow.StateDone {
		<-done
	}
	cancel()
	return <-ended
}

// outside does effects as files: one per key, made once.
type outside struct {
	dir  string
	left atomic.Int64
}

// boundary kills the process when its time has come.
func (o *outside) boundary() {
	if o.left.Add(-1) == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func (o *outside) do(key, what string) error {
	defer o.boundary()
	o.boundary()
	f, err := os.OpenFile(filepath.Join(o.dir, "effect-"+key), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil // done before
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(what)
	return errors.Join(err, f.Close())
}

func (o *outside) Validate(_ context.Context, r workflow.ValidateRequest) (workflow.Validated, error) {
	return workflow.Validated{Status: "fail", Validation: r.Key, Cause: &workflow.Cause{Change: "flip"}}, o.do(r.Key, "validate")
}

func (o *outside) Undo(_ context.Context, r workflow.UndoRequest) (change.Event, error) {
	return change.Event{ID: "undone"}, o.do(r.Key, "undo "+r.Change)
}

func (o *outside) Notify(_ context.Context, n workflow.Notification) error {
	return o.do(n.Key, "notify "+n.Channel)
}

// mortal is a store that may be the place of death.
type mortal struct {
	*state.Workflows
	*outside
}

func (m mortal) Create(ctx context.Context, r workflow.Run) (bool, error) {
	m.boundary()
	defer m.boundary()
	return m.Workflows.Create(ctx, r)
}

func (m mortal) Save(ctx context.Context, r workflow.Run, l workflow.Lease) error {
	m.boundary()
	defer m.boundary()
	return m.Workflows.Save(ctx, r, l)
}

// A process that is killed at any point of a run is followed by one that
// finishes it, and nothing is done twice or left out.
func TestKilledWorkflowResumes(t *testing.T) {
	for death := 1; ; death++ {
		dir := t.TempDir()
		first := child(t, "engine", dir, death)
		err := first.Run()
		if err == nil { // it lived to the end
			if death < 15 {
				t.Errorf("only %d points of death: the test sees too little", death-1)
			}
			return
		}
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("death at %d: %v, want a kill", death, err)
		}
		if err := child(t, "engine", dir, 0).Run(); err != nil {
			t.Fatalf("after death at %d: %v", death, err)
		}
		checkEffects(t, dir, death)
	}
}

func checkEffects(t *testing.T, dir string, death int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "effect-*"))
	if err != nil {
		t.Fatal(err)
	}
	var did []string
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		did = append(did, string(b))
	}
	if got := strings.Join(did, ", "); got != "validate, undo flip, notify c" { // Glob sorts by key
		t.Errorf("death at %d: done %s", death, got)
	}
	run, err := open(t, "sqlite://"+filepath.Join(dir, "state.db")).Workflows().Run(t.Context(), workflow.RunID("w", "e"))
	if err != nil || run.State != workflow.StateDone {
		t.Errorf("death at %d: run is %s (%s), %v", death, run.State, run.Error, err)
	}
}
