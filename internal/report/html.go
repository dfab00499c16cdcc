package report

import (
	_ "embed"
	"html/template"
	"io"
)

var (
	//go:embed report.html.tmpl
	markup string
	//go:embed report.css
	stylesheet string

	htmlTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
		"css": func() template.CSS { return template.CSS(stylesheet) }, // ours, embedded
	}).Parse(markup))
)

func renderHTML(w io.Writer, p page) error { return htmlTemplate.Execute(w, p) }
