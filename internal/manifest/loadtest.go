package manifest

import (
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"reflect"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tidegate-io/tidegate/loadtest"
)

// LoadTest is the spec of kind LoadTest; exactly one of request and command.
type LoadTest struct {
	Target      Target    `json:"target" doc:"the service whose validation follows"`
	Purpose     string    `json:"purpose,omitempty" doc:"training, acceptance, …"`
	Duration    Duration  `json:"duration,omitempty" doc:"of a constant rate; stages have their own"`
	Rate        *Rate     `json:"rate,omitempty"`
	Request     *Request  `json:"request,omitempty"`
	Command     *Command  `json:"command,omitempty"`
	Timeout     *Duration `json:"timeout,omitempty" doc:"of one request; default 10s"`
	MaxInFlight int       `json:"maxInFlight,omitempty" doc:"default 1000"`
}

// Rate is the pace of arrivals: "20/s", or stages.
type Rate struct {
	Constant RatePerSecond `json:"constant,omitempty"`
	Stages   []Stage       `json:"stages,omitempty"`
}

// fromNode accepts the short form "20/s".
func (r *Rate) fromNode(d *decoder, n *yaml.Node, path string) {
	if n.Kind == yaml.ScalarNode {
		d.decode(n, valueOf(&r.Constant), path)
		return
	}
	type plain Rate
	d.decode(n, reflect.ValueOf((*plain)(r)).Elem(), path)
}

// Stage goes to a rate over some time, or holds the rate reached.
type Stage struct {
	To   *RatePerSecond `json:"to,omitempty"`
	Over *Duration      `json:"over,omitempty"`
	Hold *Duration      `json:"hold,omitempty"`
}

// Request is what is sent.
type Request struct {
	Method  string            `json:"method,omitempty" doc:"default GET, POST with a body"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    *Body             `json:"body,omitempty"`
}

// Body is text, or a file beside the manifest.
type Body struct {
	Text string `json:"text,omitempty"`
	File string `json:"file,omitempty" doc:"beside the manifest; read when it is applied"`
}

// fromNode accepts the short form "some text".
func (b *Body) fromNode(d *decoder, n *yaml.Node, path string) {
	if n.Kind == yaml.ScalarNode {
		d.decode(n, valueOf(&b.Text), path)
		return
	}
	type plain Body
	d.decode(n, reflect.ValueOf((*plain)(b)).Elem(), path)
}

// Command is any other tool.
type Command struct {
	Args []string          `json:"args"`
	Env  map[string]string `json:"env,omitempty"`
	Dir  string            `json:"dir,omitempty"`
}

func (l *LoadTest) check(c *checker) {
	if l.Target.Service == "" {
		c.at("target").errorf("service is missing")
	}
	if (l.Request == nil) == (l.Command == nil) {
		c.errorf("expected exactly one of request and command")
		return
	}
	if l.Command != nil {
		if len(l.Command.Args) == 0 {
			c.at("command").errorf("args is missing: expected the program and its arguments")
		}
		return
	}
	u, err := url.Parse(l.Request.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		c.at("request.url").errorf("%q is not an http or https URL", l.Request.URL)
	}
	if b := l.Request.Body; b != nil && b.File != "" {
		c.at("request.body.file").errorf("%q was not found beside the manifest", b.File)
	}
	if l.Rate == nil {
		c.errorf("rate is missing: expected for example rate: 20/s, or rate with stages")
		return
	}
	if len(l.Rate.Stages) == 0 && l.Duration <= 0 {
		c.errorf("duration is missing: a constant rate needs one")
	}
	if len(l.Rate.Stages) == 0 && l.Rate.Constant <= 0 {
		c.at("rate").errorf("must be above zero")
	}
	for i, s := range l.Rate.Stages {
		sc := c.at("rate.stages[%d]", i)
		switch {
		case s.Hold != nil && (s.To != nil || s.Over != nil), s.Hold == nil && (s.To == nil || s.Over == nil):
			sc.errorf("expected either to and over, or hold")
		case s.Hold != nil && i == 0:
			sc.errorf("the first stage cannot hold: there is no rate yet")
		}
	}
}

// Definition returns the test as the domain knows it.
func (l *LoadTest) Definition(name string, labels map[string]string) *loadtest.Test {
	t := &loadtest.Test{Name: name, Labels: labels, Target: l.Target.ref(), Purpose: l.Purpose,
		Duration: time.Duration(l.Duration), MaxInFlight: l.MaxInFlight}
	if l.Timeout != nil {
		t.Timeout = time.Duration(*l.Timeout)
	}
	if l.Command != nil {
		t.Command = (*loadtest.Command)(l.Command)
		return t
	}
	t.Request = &loadtest.Request{Method: l.Request.Method, URL: l.Request.URL, Headers: l.Request.Headers}
	if b := l.Request.Body; b != nil {
		t.Request.Body = b.Text
	}
	if t.Request.Method == "" {
		t.Request.Method = "GET"
		if t.Request.Body != "" {
			t.Request.Method = "POST"
		}
	}
	if r := float64(l.Rate.Constant); r > 0 {
		t.Stages = []loadtest.Stage{{To: r}, {To: r, Over: t.Duration}}
		return t
	}
	var rate float64
	var total time.Duration
	for _, s := range l.Rate.Stages {
		over := s.Hold
		if s.To != nil {
			rate, over = float64(*s.To), s.Over
		}
		total += time.Duration(*over)
		t.Stages = append(t.Stages, loadtest.Stage{To: rate, Over: time.Duration(*over)})
	}
	t.Duration = total
	return t
}

// inlined are the parts that may be a file.
var inlined = [][]string{{"spec", "request", "body"}, {"spec", "monspec"}}

// Inline replaces every body: {file: NAME} of load tests by the file's text,
// read from files, so that the manifest can be sent to a server that does not
// have them. Anything that it does not understand it leaves as it is: Parse
// says what is wrong with it.
func Inline(data []byte, files fs.FS) ([]byte, error) {
	docs, err := splitDocuments(data)
	if err != nil {
		return data, nil
	}
	changed := false
	for _, doc := range docs {
		for _, at := range inlined {
			body := lookup(doc, at...)
			file := lookup(body, "file")
			if file == nil || file.Kind != yaml.ScalarNode {
				continue
			}
			text, err := fs.ReadFile(files, path.Clean(file.Value))
			if err != nil {
				return nil, fmt.Errorf("line %d: %s file %q: %w", file.Line, at[len(at)-1], file.Value, err)
			}
			*body = yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{
				{Kind: yaml.ScalarNode, Tag: "!!str", Value: "text"},
				{Kind: yaml.ScalarNode, Tag: "!!str", Value: string(text)},
			}}
			changed = true
		}
	}
	if !changed {
		return data, nil
	}
	return joinDocuments(docs)
}
