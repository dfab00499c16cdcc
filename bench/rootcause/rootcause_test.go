package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func put(t *testing.T, dir, name, content string) {
	t.Helper()
	file := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func plainOptions(set, dir, out string) options {
	return options{set: set, data: dir, out: out, perturb: &perturbation{rnd: rand.New(rand.NewPCG(1, 1))}}
}

// metrics draws the file of a system in which site calls shop, and shop store:
// latency, availability and requests; store takes longer where slow.
func metrics(start, slots int, slow bool) string {
	var b strings.Builder
	b.WriteString("microservice,site,site,site,shop,shop,shop,store,store,store\n")
	b.WriteString("metric" + strings.Repeat(",latency,availability,requests", 3) + "\n")
	b.WriteString("statistic" + strings.Repeat(",Average,Average,Sum", 3) + "\n")
	b.WriteString("unix_timestamp" + strings.Repeat(",", 9) + "\n")
	for i := range slots {
		wobble := 1 + 0.02*float64(i%5-2)
		extra := 0.0
		if slow && i >= 2 {
			extra = 0.2
		}
		fmt.Fprintf(&b, "%d.0,%g,100,500,%g,100,500,%g,100,500\n", start+300*i, 0.1*wobble+extra, 0.05*wobble+extra, 0.02*wobble+extra)
	}
	return b.String()
}

func TestPetshop(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "traffic/graph.csv", ",site,shop,store\nsite,0.0,1.0,0.0\nshop,0.0,0.0,1.0\nstore,0.0,0.0,0.0\n")
	put(t, dir, "traffic/noissue/metrics.csv", metrics(1_000_000, 100, false))
	put(t, dir, "traffic/test/issue_0/metrics.csv", metrics(2_000_000, 5, true))
	put(t, dir, "traffic/test/issue_0/target.json", `{"target":{"node":"site","metric":"latency","agg":"Average","timestamp":2000600},"root_cause":{"node":"store"}}`)
	out := filepath.Join(dir, "out.jsonl")
	if err := run(plainOptions("petshop", dir, out)); err != nil {
		t.Fatal(err)
	}
	lines, err := read[petshopLine](out)
	if err != nil || len(lines) != 21 {
		t.Fatalf("%d lines, want one case and 20 windows without a fault: %v", len(lines), err)
	}
	for _, l := range lines {
		switch {
		case l.Case == "traffic/test/issue_0":
			if len(l.Ranking) == 0 || l.Ranking[0] != "store" {
				t.Errorf("ranking %v", l.Ranking)
			}
		case len(l.Ranking) > 0 || l.Ranking == nil:
			t.Errorf("%s: %v, want an empty list", l.Case, l.Ranking)
		}
	}
	var report bytes.Buffer
	if err := scorePetshop(&report, dir, out); err != nil || !strings.Contains(report.String(), "top-1 1 of 1, top-3 1 of 1, fault-free windows empty 20 of 20") {
		t.Errorf("%v %s", err, report.String())
	}
}

// incidentFiles writes a case in which a deployment takes a condition out.
func incidentFiles(t *testing.T, dir string) {
	at := func(minute int) string {
		return time.Date(2026, 6, 1, 10, minute, 0, 0, time.UTC).Format(time.RFC3339)
	}
	var rows, logs strings.Builder
	rows.WriteString("timestamp,service,metric,value\n")
	for m := range 50 {
		errs, calls := 0.003+0.001*float64(m%3), 0.004
		if m >= 40 {
			errs, calls = 0.6, 0.3
			fmt.Fprintf(&logs, `{"timestamp":%q,"service":"pay","severity_text":"ERROR","msg":"panic: nil pointer dereference","trace_id":"x"}`+"\n", at(m))
		}
		fmt.Fprintf(&rows, "%s,pay,http_5xx_ratio,%g\n%s,shop,http_5xx_ratio,%g\n", at(m), errs, at(m), calls)
	}
	put(t, dir, "nil/metrics.csv", rows.String())
	put(t, dir, "nil/logs.ndjson", logs.String())
	put(t, dir, "nil/alert.json", fmt.Sprintf(`{"service":"pay","metric":"http_5xx_ratio","threshold":0.02,"observed":0.6,"fired_at":%q,"summary":"pay fails"}`, at(43)))
	put(t, dir, "nil/traces.json", fmt.Sprintf(`[{"trace_id":"a","span_id":"1","parent_id":null,"service":"shop","name":"POST /order","start":%q,"duration_ms":9,"status":"ERROR"},
		{"trace_id":"a","span_id":"2","parent_id":"1","service":"pay","name":"Charge","start":%q,"duration_ms":5,"status":"ERROR","error":"nil pointer dereference"}]`, at(41), at(41)))
	put(t, dir, "nil/context/deploys.json", fmt.Sprintf(`[{"timestamp":%q,"service":"pay","commit_sha":"bad","version":"2"},{"timestamp":%q,"service":"shop","commit_sha":"good","version":"7"}]`, at(39), at(38)))
	put(t, dir, "nil/context/flags.json", fmt.Sprintf(`[{"timestamp":%q,"flag":"banner","service":"shop","change":"off->on","actor":"kim"}]`, at(20)))
	commits, err := json.Marshal([]map[string]any{
		{"sha": "bad", "author": "kim", "message": "simplify", "files_changed": []string{"pay/charge.go"}, "diff": "-\tif r == nil {\n-\t\treturn\n-\t}"},
		{"sha": "good", "author": "lee", "message": "docs", "files_changed": []string{"docs/a.md"}, "diff": nil},
	})
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, "nil/context/commits.json", string(commits))
}

func TestIncidents(t *testing.T) {
	dir := t.TempDir()
	incidentFiles(t, dir)
	put(t, dir, "nil/ground_truth.json", `not for the one who answers`)
	out := filepath.Join(dir, "out.jsonl")
	if err := run(plainOptions("rootcausebench", dir, out)); err != nil {
		t.Fatal(err)
	}
	lines, err := read[incidentLine](out)
	if err != nil || len(lines) != 1 {
		t.Fatalf("%v %v", lines, err)
	}
	if l := lines[0]; l.Case != "nil" || l.Commit != "bad" || l.First != "pay" || l.Remediation != "rollback" || len(l.BlastRadius) != 1 || l.BlastRadius[0] != "shop" {
		t.Errorf("%+v", l)
	}
	put(t, dir, "nil/ground_truth.json", `{"root_cause_commit":"bad","first_failing_service":"pay","blast_radius":["shop"],"remediation":"rollback","decoy_deploy_commits":["good"]}`)
	var report bytes.Buffer
	if err := scoreIncidents(&report, dir, out); err != nil || !strings.Contains(report.String(), "commits 1 of 1, decoys blamed 0") {
		t.Errorf("%v %s", err, report.String())
	}
}

func TestBadOptions(t *testing.T) {
	dir := t.TempDir()
	for name, o := range map[string]options{
		"no folder": plainOptions("petshop", "", "x"), "no file": plainOptions("petshop", dir, ""),
		"another set": plainOptions("shopping", dir, filepath.Join(dir, "x")), "no cases": plainOptions("rootcausebench", dir, filepath.Join(dir, "x")),
	} {
		if run(o) == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
