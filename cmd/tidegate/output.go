package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate-io/tidegate/internal/manifest"
	"github.com/tidegate-io/tidegate/judge"
)

// show prints v as JSON with -o json, else by the given function.
func (c *cli) show(cmd *cobra.Command, v any, text func(w io.Writer)) error {
	if c.output == "json" {
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}
	text(cmd.OutOrStdout())
	return nil
}

// table prints rows in columns under a header; without rows it says so.
func table(w io.Writer, header, none string, rows func(row func(cells ...any))) {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	n := 0
	rows(func(cells ...any) {
		if n++; n == 1 {
			fmt.Fprintln(tw, header)
		}
		for i, cell := range cells {
			if i > 0 {
				fmt.Fprint(tw, "\t")
			}
			fmt.Fprint(tw, cell)
		}
		fmt.Fprintln(tw)
	})
	_ = tw.Flush()
	if n == 0 {
		fmt.Fprintln(w, none)
	}
}

var symbols = map[judge.Status]string{
	judge.StatusPass: "✓", judge.StatusWarn: "!", judge.StatusFail: "✕", judge.StatusInconclusive: "?",
	judge.StatusLearning: "↻", judge.StatusInfo: "i", judge.StatusError: "✕",
}

var colours = map[judge.Status]string{
	judge.StatusPass: "36", judge.StatusWarn: "33", judge.StatusFail: "31", judge.StatusInconclusive: "35",
	judge.StatusLearning: "34", judge.StatusError: "31",
}

// statusText is symbol and word, coloured on a terminal.
func statusText(s judge.Status) string {
	text := symbols[s] + " " + string(s)
	if code := colours[s]; code != "" && onTerminal() {
		return "\x1b[" + code + "m" + text + "\x1b[0m"
	}
	return text
}

func onTerminal() bool {
	if os.Getenv("NO_COLOR") != "" {
		return false
	}
	fi, err := os.Stdout.Stat()
	return err == nil && fi.Mode()&os.ModeCharDevice != 0
}

// ago is a time as people say it.
func ago(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := max(time.Since(t), 0) // clocks differ
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return t.Local().Format("2006-01-02 15:04")
}

// quantity is a number with its unit: "312 ms", "1.2 %", "20.1/s".
func quantity(n judge.Number, unit string) string {
	v := float64(n)
	switch {
	case math.IsNaN(v):
		return "-"
	case math.IsInf(v, 1):
		return "∞"
	case math.IsInf(v, -1):
		return "-∞"
	}
	switch unit {
	case "s":
		switch {
		case math.Abs(v) < 1e-3:
			return fmt.Sprintf("%.0f µs", v*1e6)
		case math.Abs(v) < 1:
			return fmt.Sprintf("%.3g ms", v*1e3)
		}
		return fmt.Sprintf("%.3g s", v)
	case "ratio":
		if math.Abs(v) < 1e-6 { // less than one in a million
			v = 0
		}
		return fmt.Sprintf("%.3g %%", v*100)
	case "/s", "1/s":
		return fmt.Sprintf("%.3g/s", v)
	case "", "1":
		return fmt.Sprintf("%.4g", v)
	}
	return fmt.Sprintf("%.4g %s", v, unit)
}

// duration rounds to what matters and leaves out what is zero: 1m, not 1m0s.
func duration(d time.Duration) string {
	switch {
	case d >= time.Second:
		d = d.Round(10 * time.Millisecond)
	case d >= time.Millisecond:
		d = d.Round(10 * time.Microsecond)
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// measured is a duration, or a dash when there is none.
func measured(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return duration(d)
}

// span is a duration on the command line, as manifests have it: 90s, 5m, 2d.
type span time.Duration

// String implements pflag.Value.
func (s *span) String() string {
	if *s == 0 {
		return "" // not given
	}
	return duration(time.Duration(*s))
}

// Set implements pflag.Value.
func (s *span) Set(text string) error {
	d, err := manifest.ParseDuration(text)
	*s = span(d)
	return err
}

// Type implements pflag.Value.
func (s *span) Type() string { return "duration" }

// bytesize is a number of bytes as people say it: 512 B, 20 GiB.
type bytesize int64

const bytePrefixes = "KMGT"

// String implements pflag.Value and fmt.Stringer.
func (b bytesize) String() string {
	v, prefix := float64(b), -1
	for ; v >= 1024 && prefix < len(bytePrefixes)-1; prefix++ {
		v /= 1024
	}
	if prefix < 0 {
		return fmt.Sprintf("%d B", int64(b))
	}
	return fmt.Sprintf("%.3g %ciB", v, bytePrefixes[prefix])
}

// Set implements pflag.Value.
func (b *bytesize) Set(text string) error {
	number, factor := strings.TrimSuffix(text, "B"), 1.0
	for i, prefix := range bytePrefixes {
		if rest, ok := strings.CutSuffix(number, string(prefix)+"i"); ok {
			number, factor = rest, math.Pow(1024, float64(i+1))
		}
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if v *= factor; err != nil || !(v >= 0 && v < math.MaxInt64) {
		return fmt.Errorf("%q is not a size: expected for example 500MiB or 20GiB", text)
	}
	*b = bytesize(v)
	return nil
}

// Type implements pflag.Value.
func (*bytesize) Type() string { return "size" }

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
