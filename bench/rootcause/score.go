package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// scorePetshop compares the rankings in a file with the labels beside the
// cases. A case without a labelled root cause is one without a fault.
func scorePetshop(w io.Writer, data, file string) error {
	answers, err := read[petshopLine](file)
	if err != nil {
		return err
	}
	var faults, top1, top3, free, empty int
	bySystem := map[string]*[3]int{}
	for _, a := range answers {
		truth, err := petshopTruth(data, a.Case)
		if err != nil {
			return err
		}
		if truth == "" {
			free++
			if len(a.Ranking) == 0 {
				empty++
			} else {
				fmt.Fprintf(w, "false alarm  %-34s %s\n", a.Case, first(a.Ranking, 3))
			}
			continue
		}
		faults++
		system, _, _ := strings.Cut(a.Case, "/")
		if bySystem[system+" "+truth] == nil {
			bySystem[system+" "+truth] = &[3]int{}
		}
		counts := bySystem[system+" "+truth]
		counts[0]++
		at := slices.Index(a.Ranking, truth)
		if at == 0 {
			top1++
			counts[1]++
		}
		if at >= 0 && at < 3 {
			top3++
			counts[2]++
		}
		if at != 0 {
			fmt.Fprintf(w, "not first    %-34s truth %s at %d, ranking %s\n", a.Case, truth, at+1, first(a.Ranking, 4))
		}
	}
	fmt.Fprintf(w, "petshop: top-1 %d of %d, top-3 %d of %d, fault-free windows empty %d of %d\n", top1, faults, top3, faults, empty, free)
	for _, k := range sortedKeys(bySystem) {
		fmt.Fprintf(w, "  %-60s top-1 %d, top-3 %d of %d\n", k, bySystem[k][1], bySystem[k][2], bySystem[k][0])
	}
	return nil
}

func first(list []string, n int) string { return strings.Join(list[:min(n, len(list))], " > ") }

func petshopTruth(data, name string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(data, filepath.FromSlash(name), "target.json"))
	if os.IsNotExist(err) {
		return "", nil
	}
	var label struct {
		RootCause struct {
			Node string `json:"node"`
		} `json:"root_cause"`
	}
	if err == nil {
		err = json.Unmarshal(raw, &label)
	}
	return label.RootCause.Node, err
}

// label is the answer that a case of rootcausebench has.
type label struct {
	Commit      string   `json:"root_cause_commit"`
	First       string   `json:"first_failing_service"`
	BlastRadius []string `json:"blast_radius"`
	Remediation string   `json:"remediation"`
	Decoys      []string `json:"decoy_deploy_commits"`
}

func scoreIncidents(w io.Writer, data, file string) error {
	answers, err := read[incidentLine](file)
	if err != nil {
		return err
	}
	var commits, decoys, rollbacks, firsts, remedies, none int
	var overlap float64
	for _, a := range answers {
		raw, err := os.ReadFile(filepath.Join(data, filepath.FromSlash(a.Case), "ground_truth.json"))
		if err != nil {
			return err
		}
		var l label
		if err := json.Unmarshal(raw, &l); err != nil {
			return fmt.Errorf("%s: %w", a.Case, err)
		}
		say := func(ok bool, n *int, what, got, want string) {
			if ok {
				*n++
				return
			}
			fmt.Fprintf(w, "wrong %-12s %-40s %s instead of %s\n", what, a.Case, got, want)
		}
		say(a.Commit == l.Commit, &commits, "commit", a.Commit, l.Commit)
		say(a.First == l.First, &firsts, "service", a.First, l.First)
		say(a.Remediation == l.Remediation, &remedies, "remediation", a.Remediation, l.Remediation)
		if slices.Contains(l.Decoys, a.Commit) {
			decoys++
		}
		if l.Commit == "none" {
			none++
			if a.Remediation == "rollback" {
				rollbacks++
			}
		}
		j := jaccard(a.BlastRadius, l.BlastRadius)
		overlap += j
		if j < 1 {
			fmt.Fprintf(w, "blast radius %-46s %v instead of %v\n", a.Case, a.BlastRadius, l.BlastRadius)
		}
	}
	n := len(answers)
	fmt.Fprintf(w, "rootcausebench: commits %d of %d, decoys blamed %d, rolled back where the truth is none %d of %d\n", commits, n, decoys, rollbacks, none)
	fmt.Fprintf(w, "  first failing service %d of %d, remediation %d of %d, blast radius mean Jaccard %.2f\n", firsts, n, remedies, n, overlap/float64(max(n, 1)))
	return nil
}

func jaccard(a, b []string) float64 {
	both, all := 0, map[string]bool{}
	for _, x := range a {
		all[x] = true
		if slices.Contains(b, x) {
			both++
		}
	}
	for _, x := range b {
		all[x] = true
	}
	if len(all) == 0 {
		return 1
	}
	return float64(both) / float64(len(all))
}

func read[L line](file string) ([]L, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []L
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 16<<20)
	for sc.Scan() {
		var l L
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, sc.Err()
}

func sortedKeys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
