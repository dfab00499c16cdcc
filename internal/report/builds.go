package report

import (
	_ "embed"
	"encoding/csv"
	"encoding/json"
	"html/template"
	"io"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/delivery/signature"
	"github.com/tidegate-io/tidegate/delivery/validation"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/judge"
)

//go:embed builds.html.tmpl
var buildsMarkup string

var buildsTemplate = template.Must(template.New("builds").Funcs(template.FuncMap{
	"css":    func() template.CSS { return template.CSS(stylesheet) }, // ours, embedded
	"number": func(n judge.Number, unit string) string { return signature.Say(float64(n), unit) },
	"at":     func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") },
	"isNaN":  func(n judge.Number) bool { return n.IsNaN() },
	"mark":   mark,
}).Parse(buildsMarkup))

// mark is status as sign and word: never by colour alone.
func mark(status any) string {
	var word string
	switch s := status.(type) {
	case signature.Status:
		word = string(s)
	case validation.Status:
		word = string(s)
	}
	sign := map[string]string{"ok": "✓", "violation": "✕", "inconclusive": "?", "error": "!", "waiting": "…", "running": "↻"}[word]
	return sign + " " + word
}

// RenderBuilds writes a build-validation report as html (one file that needs
// nothing else), json or csv (one line for each metric and build), and returns
// its media type. baseURL is the server's, for links; without it there are none.
func RenderBuilds(w io.Writer, format string, r validation.BuildReport, baseURL string) (contentType string, err error) {
	switch format {
	case "json":
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return "application/json", enc.Encode(r)
	case "csv":
		return "text/csv; charset=utf-8", buildsCSV(w, r)
	case "", "html":
		if u, err := url.Parse(baseURL); err != nil || u.Scheme != "http" && u.Scheme != "https" {
			baseURL = ""
		}
		return "text/html; charset=utf-8", buildsTemplate.Execute(w, struct {
			validation.BuildReport
			BaseURL string
		}{r, strings.TrimSuffix(baseURL, "/")})
	}
	return "", fault.InvalidField("format", "unknown format %q, expected html, json or csv", format)
}

func buildsCSV(w io.Writer, r validation.BuildReport) error {
	c := csv.NewWriter(w)
	_ = c.Write([]string{"pipeline", "comparison", "build", "stage", "at", "validation", "validationStatus",
		"signature", "metric", "operation", "aggregate", "unit", "source", "compare", "lower", "upper", "status", "warning"}) // Error tells
	for _, m := range r.Metrics {
		for i, b := range r.Builds {
			cell := m.Cells[i]
			if cell == nil {
				continue
			}
			_ = c.Write([]string{plainCell(r.Pipeline), plainCell(r.Comparison), plainCell(b.Build), plainCell(b.Stage),
				b.At.UTC().Format(time.RFC3339), b.Validation, string(b.Status),
				plainCell(m.Signature), plainCell(m.Metric), plainCell(m.Operation), string(m.Aggregate), plainCell(m.Unit),
				csvNumber(cell.Source), csvNumber(cell.Compare), csvNumber(cell.Lower), csvNumber(cell.Upper), string(cell.Status), plainCell(cell.Warning)})
		}
	}
	c.Flush()
	return c.Error()
}

// plainCell keeps spreadsheets from taking a text from outside as a formula.
func plainCell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

func csvNumber(n judge.Number) string {
	if n.IsNaN() || math.IsInf(float64(n), 0) {
		return ""
	}
	return strconv.FormatFloat(float64(n), 'g', -1, 64)
}
