package tsdb

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunks"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/telemetry"
)

// TestMain lets the test binary play the process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("TSDB_TEST_WRITER"); dir != "" {
		if err := writeForever(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// writeForever commits one sample after the other and prints what is committed.
func writeForever(dir string) error {
	db, err := Open(Config{Dir: dir})
	if err != nil {
		return err
	}
	for i := range 1_000_000 {
		app := db.Appender(context.Background())
		ls := labels.FromStrings(model.MetricNameLabel, "written", "n", strconv.Itoa(i%7))
		if _, err := app.Append(0, ls, 0, at(float64(i)).UnixMilli(), float64(i), nil, nil, storage.AOptions{}); err != nil {
			return err
		}
		if err := app.Commit(); err != nil {
			return err
		}
		fmt.Println(i)
	}
	return errors.New("was not killed")
}

// TestSurvivesKill kills a writing process and finds everything it had
// committed.
func TestSurvivesKill(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "TSDB_TEST_WRITER="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	committed := -1
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if committed, err = strconv.Atoi(lines.Text()); err != nil {
			t.Fatal(err)
		}
		if committed == 2000 {
			if err := cmd.Process.Kill(); err != nil { // SIGKILL
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || committed < 2000 {
		t.Fatalf("the writer ended by itself after %d: %v", committed, err)
	}
	db, err := Open(Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	m, err := db.Select(t.Context(), "written", at(-1), at(float64(committed)))
	if err != nil {
		t.Fatal(err)
	}
	got := map[int64]float64{}
	for _, s := range m {
		for _, p := range s.Floats {
			got[p.T] = p.F
		}
	}
	for i := range committed + 1 {
		if v, ok := got[at(float64(i)).UnixMilli()]; !ok || v != float64(i) {
			t.Fatalf("sample %d of %d committed is %v", i, committed, v)
		}
	}
}

func TestOnlyOneProcess(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if second, err := Open(Config{Dir: dir}); err == nil {
		_ = second.Close()
		t.Error("the directory was opened twice")
	}
}

func TestConfigMistakes(t *testing.T) {
	for _, cfg := range []Config{{}, {Dir: "x", MaxAge: -1}, {Dir: "x", MaxSeries: -1}} {
		if _, err := Open(cfg); !fault.Is(err, fault.KindInvalid) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

func TestSeriesAreLimited(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(Config{Dir: dir, MaxSeries: 3})
	if err != nil {
		t.Fatal(err)
	}
	write := func(db *DB, name string, seconds float64) error {
		app := db.Appender(t.Context())
		if _, err := app.Append(0, labels.FromStrings(model.MetricNameLabel, name), 0, at(seconds).UnixMilli(), 1, nil, nil, storage.AOptions{}); err != nil {
			return errors.Join(err, app.Rollback())
		}
		return app.Commit()
	}
	for i := range 3 {
		if err := write(db, fmt.Sprint("m", i), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := write(db, "one_more", 0); !fault.Is(err, fault.KindUnavailable) {
		t.Errorf("a fourth series: %v", err)
	}
	if err := write(db, "m0", 1); err != nil {
		t.Errorf("a series that is there: %v", err)
	}
	if err := write(db, "traces_span_metrics_calls_total", 0); err != nil {
		t.Errorf("span metrics have room of their own: %v", err)
	}
	if s := db.Stats(); s.Series != 4 || !s.Newest.Equal(at(1)) || s.Bytes == 0 {
		t.Errorf("stats %+v", s)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	// A lower limit does not keep the store from opening.
	if db, err = Open(Config{Dir: dir, MaxSeries: 1}); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := write(db, "one_more", 2); !fault.Is(err, fault.KindUnavailable) {
		t.Errorf("over the lower limit: %v", err)
	}
}

// TestSeriesOfAServiceAreLimited: one service cannot take the room of others,
// and the limit is visible; series that went make room again.
func TestSeriesOfAServiceAreLimited(t *testing.T) {
	var log bytes.Buffer
	db, err := Open(Config{Dir: t.TempDir(), MaxSeries: 100, MaxSeriesPerService: 3, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	write := func(name, service string, n int) (refused int) {
		t.Helper()
		app := db.Appender(t.Context())
		for i := range n {
			ls := labels.FromStrings(model.MetricNameLabel, name, telemetry.LabelService, service, "user", strconv.Itoa(i))
			_, err := app.Append(0, ls, 0, at(0).UnixMilli(), 1, nil, nil, storage.AOptions{})
			switch {
			case fault.Is(err, fault.KindUnavailable):
				refused++
			case err != nil && !errors.Is(err, storage.ErrDuplicateSampleForTimestamp):
				t.Fatal(err)
			}
		}
		if err := app.Commit(); err != nil {
			t.Fatal(err)
		}
		return refused
	}
	if n := write("logins", "greedy", 10); n != 7 {
		t.Errorf("%d of 10 series were refused, want 7", n)
	}
	if n := write("logins", "greedy", 3); n != 0 {
		t.Errorf("%d series that are there were refused", n)
	}
	if n := write("logins", "modest", 3); n != 0 {
		t.Errorf("%d series of another service were refused", n)
	}
	if n := write(telemetry.MetricCalls, "greedy", 10); n != 0 {
		t.Errorf("%d span metrics were refused", n)
	}
	if got := db.Stats().Limited; len(got) != 1 || got[0] != (Limited{"greedy", 3, 7}) {
		t.Errorf("limited %+v", got)
	}
	if n := strings.Count(log.String(), "too many metric series"); n != 1 {
		t.Errorf("%d warnings:\n%s", n, log.String())
	}
	gone := map[chunks.HeadSeriesRef]labels.Labels{1: labels.FromStrings(model.MetricNameLabel, "logins", telemetry.LabelService, "greedy", "user", "0")}
	db.limit.PostDeletion(gone)
	if n := write("logouts", "greedy", 1); n != 0 {
		t.Error("there is no room after a series went")
	}
}

func TestQueriesAreLimited(t *testing.T) {
	db, err := Open(Config{Dir: t.TempDir(), MaxSamples: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	put(t, db, map[string]string{model.MetricNameLabel: "x"}, 0, 1)
	if _, err := db.QueryRange(t.Context(), "x", at(0), at(100), time.Second); !fault.Is(err, fault.KindInvalid) {
		t.Errorf("too many samples: %v", err)
	}
	if _, err := db.QueryRange(t.Context(), "x", at(0), at(1e6), time.Second); !fault.Is(err, fault.KindInvalid) {
		t.Errorf("too many points: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := db.Query(ctx, "x", at(0)); !fault.Is(err, fault.KindUnavailable) {
		t.Errorf("canceled: %v", err)
	}
	if inc, err := db.Increases(t.Context(), "x", at(-1), at(1)); err != nil || len(inc) != 1 || inc[0].Value != 1 {
		t.Errorf("increases: %v %v", inc, err)
	}
}
