package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/problem"
	"github.com/tidegate-io/tidegate/problem/cause"
	"github.com/tidegate-io/tidegate/telemetry"
)

// incident is one case of rootcausebench as telemetry; it is its own store.
type incident struct {
	name    string
	symptom problem.Event
	now     time.Time
	traces  []*telemetry.Trace
	logs    []telemetry.LogRecord
	series  []cause.Series
	changes []change.Event
}

func readIncident(dir string) (*incident, error) {
	i := &incident{name: filepath.Base(dir)}
	for file, read := range map[string]func([]byte) error{
		"alert.json": i.readAlert, "metrics.csv": i.readMetrics, "logs.ndjson": i.readLogs, "traces.json": i.readTraces,
		"context/flags.json": i.readFlags, "status_feed.json": i.readStatus,
	} {
		if err := readIfThere(filepath.Join(dir, filepath.FromSlash(file)), read); err != nil {
			return nil, err
		}
	}
	var commits []commit
	if err := readIfThere(filepath.Join(dir, "context", "commits.json"), into(&commits)); err != nil {
		return nil, err
	}
	err := readIfThere(filepath.Join(dir, "context", "deploys.json"), func(raw []byte) error { return i.readDeploys(raw, commits) })
	i.settle()
	return i, err
}

func readIfThere(file string, read func([]byte) error) error {
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = read(raw)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(file), err)
	}
	return nil
}

func into(v any) func([]byte) error {
	return func(raw []byte) error { return json.Unmarshal(raw, v) }
}

// settle puts everything in order. It is now when the last was seen.
func (i *incident) settle() {
	i.now = i.symptom.Start
	for _, s := range i.series {
		i.now = latest(i.now, s.Points[len(s.Points)-1].Time)
	}
	for _, l := range i.logs {
		i.now = latest(i.now, l.Time)
	}
	i.now = i.now.Add(time.Second)
	sort.SliceStable(i.logs, func(a, b int) bool { return i.logs[a].Time.After(i.logs[b].Time) })
	sort.SliceStable(i.changes, func(a, b int) bool { return i.changes[a].Start.After(i.changes[b].Start) })
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (i *incident) readAlert(raw []byte) error {
	var a struct {
		Service, Metric, Monitor, Summary, Detail string
		FiredAt                                   time.Time `json:"fired_at"`
		Threshold, Observed                       float64
	}
	if err := json.Unmarshal(raw, &a); err != nil {
		return err
	}
	i.symptom = problem.Event{
		ID: a.Monitor, Source: "alert", Signal: problem.SignalExternal, Ref: entity.Ref{Service: a.Service},
		Title: strings.TrimSpace(a.Summary + " " + a.Detail), Start: a.FiredAt, Detected: a.FiredAt, Observed: a.Observed, Expected: a.Threshold,
	}
	return nil
}

func (i *incident) readMetrics(raw []byte) error {
	rows := strings.Split(strings.TrimSpace(string(raw)), "\n")
	at := map[[2]string]int{}
	for _, row := range rows[1:] {
		f := strings.Split(strings.TrimSpace(row), ",")
		if len(f) != 4 {
			return fmt.Errorf("row %q: expected four fields", row)
		}
		t, err := time.Parse(time.RFC3339, f[0])
		if err != nil {
			return err
		}
		v, err := strconv.ParseFloat(f[3], 64)
		if err != nil {
			return err
		}
		k, ok := at[[2]string{f[1], f[2]}]
		if !ok {
			k = len(i.series)
			at[[2]string{f[1], f[2]}] = k
			i.series = append(i.series, cause.Series{Ref: entity.Ref{Service: f[1]}, Metric: f[2]})
		}
		i.series[k].Points = append(i.series[k].Points, cause.Point{Time: t, Value: v})
	}
	return nil
}

func (i *incident) readLogs(raw []byte) error {
	sc := bufio.NewScanner(bytes.NewReader(raw))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var l struct {
			Timestamp    time.Time
			Service, Msg string
			Severity     string `json:"severity_text"`
			TraceID      string `json:"trace_id"`
		}
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
			return err
		}
		i.logs = append(i.logs, telemetry.LogRecord{Time: l.Timestamp, Ref: entity.Ref{Service: l.Service}, Body: l.Msg, TraceID: traceID(l.TraceID),
			Severity: l.Severity, SeverityNumber: severities[l.Severity]})
	}
	return sc.Err()
}

var severities = map[string]int{"TRACE": 1, "DEBUG": 5, "INFO": 9, "WARN": 13, "WARNING": 13, "ERROR": 17, "FATAL": 21, "CRITICAL": 21}

type rawSpan struct {
	TraceID  string `json:"trace_id"`
	SpanID   string `json:"span_id"`
	ParentID string `json:"parent_id"`
	Service  string
	Name     string
	Start    time.Time
	Duration float64 `json:"duration_ms"`
	Status   string
	Error    string
	rest     map[string]any
}

func (i *incident) readTraces(raw []byte) error {
	var spans []rawSpan
	var rest []map[string]any
	if err := errors.Join(json.Unmarshal(raw, &spans), json.Unmarshal(raw, &rest)); err != nil {
		return err
	}
	byTrace := map[string][]rawSpan{}
	var order []string
	for k, s := range spans {
		s.rest = rest[k]
		if byTrace[s.TraceID] == nil {
			order = append(order, s.TraceID)
		}
		byTrace[s.TraceID] = append(byTrace[s.TraceID], s)
	}
	for _, id := range order {
		i.traces = append(i.traces, newTrace(id, byTrace[id]))
	}
	return nil
}

// newTrace makes a trace of spans that do not say what kind they are: one
// whose parent is another service's, or that has none, serves; one that names a
// peer calls.
func newTrace(id string, spans []rawSpan) *telemetry.Trace {
	t := &telemetry.Trace{ID: traceID(id)}
	at := map[string]int{}
	for k, s := range spans {
		at[s.SpanID] = k
	}
	for k, s := range spans {
		out := telemetry.Span{TraceID: t.ID, ID: telemetry.SpanID{6: byte((k + 1) >> 8), 7: byte(k + 1)}, Ref: entity.Ref{Service: s.Service}, Name: s.Name,
			Kind: telemetry.KindInternal, Start: s.Start, Duration: time.Duration(s.Duration * float64(time.Millisecond)),
			Status: telemetry.StatusOK, StatusMessage: s.Error, Attributes: attributes(s.rest)}
		if s.Status == "ERROR" {
			out.Status = telemetry.StatusError
		}
		parent, ok := at[s.ParentID]
		if ok {
			out.ParentID = telemetry.SpanID{6: byte((parent + 1) >> 8), 7: byte(parent + 1)}
		}
		switch {
		case out.Attributes["peer.service"] != nil || out.Attributes["net.peer.name"] != nil:
			out.Kind = telemetry.KindClient
		case !ok || spans[parent].Service != s.Service:
			out.Kind = telemetry.KindServer
		}
		t.Spans = append(t.Spans, out)
	}
	t.Sort()
	return t
}

// traceID reads an id, also one that is a mere name.
func traceID(text string) telemetry.TraceID {
	id, err := telemetry.ParseTraceID(text)
	if err != nil {
		sum := sha256.Sum256([]byte(text))
		copy(id[:], sum[:])
	}
	return id
}

func attributes(rest map[string]any) telemetry.Attributes {
	out := telemetry.Attributes{}
	for k, v := range rest {
		switch k {
		case "trace_id", "span_id", "parent_id", "service", "name", "start", "duration_ms", "status", "error":
		default:
			out[k] = v
		}
	}
	return out
}

type commit struct {
	SHA       string
	Author    string
	Timestamp time.Time
	Message   string
	Files     []string `json:"files_changed"`
	Diff      *string
}

// readDeploys makes a change of each deployment, with what its commit says.
func (i *incident) readDeploys(raw []byte, commits []commit) error {
	var deploys []struct {
		Timestamp time.Time
		Service   string
		SHA       string `json:"commit_sha"`
		Version   string
	}
	if err := json.Unmarshal(raw, &deploys); err != nil {
		return err
	}
	for n, d := range deploys {
		e := change.Event{ID: fmt.Sprintf("deploy-%d", n), Type: change.TypeDeploymentFinished, Kind: change.KindDeployment, Title: d.Service + " " + d.Version,
			Start: d.Timestamp, Ref: entity.Ref{Service: d.Service}, To: d.Version, Properties: map[string]string{"commit.sha": d.SHA}}
		for _, c := range commits {
			if c.SHA != d.SHA {
				continue
			}
			e.Title, e.Who = c.Message, c.Author
			e.Properties[cause.PropertyFiles] = strings.Join(c.Files, "\n")
			if c.Diff != nil {
				e.Properties[cause.PropertyDiff] = *c.Diff
			}
		}
		i.changes = append(i.changes, e)
	}
	return nil
}

func (i *incident) readFlags(raw []byte) error {
	var flags []struct {
		Timestamp                    time.Time
		Flag, Service, Change, Actor string
	}
	if err := json.Unmarshal(raw, &flags); err != nil {
		return err
	}
	for n, f := range flags {
		from, to, _ := strings.Cut(f.Change, "->")
		i.changes = append(i.changes, change.Event{ID: fmt.Sprintf("flag-%d", n), Type: change.TypeFlagChanged, Kind: change.KindFlag, Title: f.Flag + " " + f.Change,
			Who: f.Actor, Start: f.Timestamp, Ref: entity.Ref{Service: f.Service}, Key: f.Flag, From: from, To: to})
	}
	return nil
}

// readStatus makes annotations of what a provider's status page says.
func (i *incident) readStatus(raw []byte) error {
	var feed struct {
		Source string
		Events []struct {
			ID, Service, Region, Status, Title, Detail string
			Started                                    time.Time `json:"started_at"`
		}
	}
	if err := json.Unmarshal(raw, &feed); err != nil {
		return err
	}
	for _, e := range feed.Events {
		i.changes = append(i.changes, change.Event{ID: e.ID, Type: change.TypeAnnotation, Kind: change.KindAnnotation, Source: feed.Source,
			Title: e.Service + " " + e.Region + ": " + e.Status + ", " + e.Title, Reason: e.Detail, Start: e.Started})
	}
	return nil
}

// Trace implements telemetry.TraceReader.
func (i *incident) Trace(_ context.Context, id telemetry.TraceID) (*telemetry.Trace, error) {
	for _, t := range i.traces {
		if t.ID == id {
			return t, nil
		}
	}
	return nil, fault.NotFound("trace %s", id)
}

// Traces implements telemetry.TraceReader.
func (i *incident) Traces(_ context.Context, q telemetry.TraceQuery) iter.Seq2[*telemetry.Trace, error] {
	return func(yield func(*telemetry.Trace, error) bool) {
		n := 0
		for k := len(i.traces) - 1; k >= 0; k-- {
			if !slices.ContainsFunc(i.traces[k].Spans, func(s telemetry.Span) bool { return matches(s, q) }) {
				continue
			}
			if n++; !yield(i.traces[k], nil) || q.Limit > 0 && n == q.Limit {
				return
			}
		}
	}
}

func matches(s telemetry.Span, q telemetry.TraceQuery) bool {
	return q.Ref.Covers(s.Ref) && (q.Operation == "" || q.Operation == s.Name) && (q.Status == "" || q.Status == s.Status) &&
		s.Duration >= q.MinDuration && !s.Start.Before(q.From) && s.Start.Before(q.To) && q.ExceptionType == ""
}

// Logs implements telemetry.LogReader.
func (i *incident) Logs(_ context.Context, q telemetry.LogQuery) ([]telemetry.LogRecord, error) {
	var out []telemetry.LogRecord
	for _, l := range i.logs {
		if q.Ref.Covers(l.Ref) && l.SeverityNumber >= q.MinSeverity && !l.Time.Before(q.From) && l.Time.Before(q.To) && (q.Limit == 0 || len(out) < q.Limit) {
			out = append(out, l)
		}
	}
	return out, nil
}

// Events implements evidence.ChangeFinder.
func (i *incident) Events(_ context.Context, q change.Query) ([]change.Event, error) {
	var out []change.Event
	for _, e := range i.changes {
		if slices.Contains(q.Kinds, e.Kind) && !e.Start.Before(q.From) && e.Start.Before(q.To) {
			out = append(out, e)
		}
	}
	return out, nil
}

// Series implements cause.SeriesReader.
func (i *incident) Series(_ context.Context, q cause.SeriesQuery) ([]cause.Series, error) {
	return i.series, nil
}

// Calls implements cause.GraphReader: who called whom in the traces, and what
// wrote log lines without being traced.
func (i *incident) Calls(context.Context, string, time.Time, time.Time) ([]cause.Call, error) {
	var out []cause.Call
	for _, t := range i.traces {
		by := map[telemetry.SpanID]telemetry.Span{}
		for _, s := range t.Spans {
			by[s.ID] = s
		}
		for _, s := range t.Spans {
			out = append(out, cause.Call{Caller: s.Ref, Callee: s.Ref}) // it takes part in requests
			if p, ok := by[s.ParentID]; ok && p.Service != s.Service {
				out = append(out, cause.Call{Caller: p.Ref, Callee: s.Ref})
			}
		}
	}
	return out, nil
}
