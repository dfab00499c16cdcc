// Package command deploys by a script of yours: JSON in, JSON out. It also
// makes the calls that pipelines make: commands and webhooks.
//
// The script is run for every question, with the question on its standard
// input and one JSON object expected on its standard output:
//
//	{"action":"deploy","key":"…","target":{"app":"shop","environment":"production"},
//	 "revision":{"version":"1.4","artifact":"sha256:…"},"path":"/…/tree","env":{…}}
//
//	{"version":"1.4","address":"http://shop.example","healthy":true}
//	{"error":"no capacity"}
//
// action is deploy, rollback, current, previous, health or remove. The answer
// to current and previous says the version, an empty one that there is none.
// Exit code 0 means done; any other, an error, or no JSON means not done: the
// script must then have left running what ran before. It may be asked the same
// under the same key again and must then answer the same. When its time is
// over it and all it started are asked to end and then killed.
package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tidegate-io/tidegate/delivery/deploy"
	"github.com/tidegate-io/tidegate/delivery/pipeline"
	"github.com/tidegate-io/tidegate/fault"
)

const (
	maxAnswer  = 1 << 20
	maxOutput  = 64 << 10
	maxBody    = 8 << 10
	grace      = 5 * time.Second
	askTimeout = 30 * time.Second // of a question that changes nothing
)

// Artifacts finds the content of a revision.
type Artifacts interface {
	Path(digest string) (string, error)
}

// Deployer implements deploy.Deployer by the script that a deployment's
// definition names. It remembers the last script of a target for questions
// that do not come with one.
type Deployer struct {
	// Artifacts is optional; without it scripts get no path.
	Artifacts Artifacts
	// Script finds the script of a target that was deployed to by an earlier
	// process.
	Script func(ctx context.Context, t deploy.Target) (deploy.App, error)

	mu   sync.Mutex
	last map[deploy.Target]deploy.App
}

var (
	_ deploy.Deployer = (*Deployer)(nil)
	_ deploy.Remover  = (*Deployer)(nil)
)

// question is what the script gets.
type question struct {
	Action   string            `json:"action"`
	Key      string            `json:"key,omitempty"`
	Target   deploy.Target     `json:"target"`
	Revision *deploy.Revision  `json:"revision,omitempty"`
	Path     string            `json:"path,omitempty"`
	Env      map[string]string `json:"env,omitempty"`
}

// answer is what it says.
type answer struct {
	Version string `json:"version"`
	Address string `json:"address"`
	Healthy *bool  `json:"healthy"`
	Detail  string `json:"detail"`
	Error   string `json:"error"`
}

// Deploy implements deploy.Deployer.
func (d *Deployer) Deploy(ctx context.Context, r deploy.Request) (deploy.Instance, error) {
	return d.do(ctx, "deploy", r)
}

// Rollback implements deploy.Deployer.
func (d *Deployer) Rollback(ctx context.Context, r deploy.Request) (deploy.Instance, error) {
	return d.do(ctx, "rollback", r)
}

func (d *Deployer) do(ctx context.Context, action string, r deploy.Request) (deploy.Instance, error) {
	if err := r.Validate(); err != nil {
		return deploy.Instance{}, err
	}
	if len(r.Spec.Script) == 0 {
		return deploy.Instance{}, fault.Invalid("app %s has no script: the command deployer needs one", r.App)
	}
	d.remember(r.Target, r.Spec)
	q := question{Action: action, Key: r.Key, Target: r.Target, Revision: &r.Revision, Env: r.Spec.Env}
	if r.Revision.Artifact != "" && d.Artifacts != nil {
		var err error
		if q.Path, err = d.Artifacts.Path(r.Revision.Artifact); err != nil {
			return deploy.Instance{}, err
		}
	}
	a, output, err := ask(ctx, r.Spec, q)
	fail := &deploy.Failure{Cause: deploy.CauseRefused, Target: r.Target, Version: r.Revision.Version, Output: output}
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return deploy.Instance{}, ctx.Err()
	case ctx.Err() != nil:
		fail.Cause, fail.Detail = deploy.CauseHang, "the script did not end in time and was stopped"
	case err != nil:
		fail.Detail = err.Error()
	case a.Healthy != nil && !*a.Healthy:
		fail.Cause, fail.Detail = deploy.CauseUnhealthy, a.Detail
	default:
		return deploy.Instance{Target: r.Target, Key: r.Key, Revision: r.Revision, Address: a.Address, Since: time.Now().UTC()}, nil
	}
	if i, err := d.Current(context.WithoutCancel(ctx), r.Target); err == nil {
		fail.Kept = i.Revision.Version
	}
	return deploy.Instance{}, fail
}

func (d *Deployer) remember(t deploy.Target, app deploy.App) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last == nil {
		d.last = map[deploy.Target]deploy.App{}
	}
	d.last[t] = app
}

func (d *Deployer) script(ctx context.Context, t deploy.Target) (deploy.App, error) {
	d.mu.Lock()
	app, ok := d.last[t]
	d.mu.Unlock()
	if ok {
		return app, nil
	}
	if d.Script == nil {
		return app, fault.NotFound("nothing was deployed to %s", t)
	}
	return d.Script(ctx, t)
}

// Current implements deploy.Deployer.
func (d *Deployer) Current(ctx context.Context, t deploy.Target) (deploy.Instance, error) {
	return d.look(ctx, "current", t)
}

// Previous implements deploy.Deployer.
func (d *Deployer) Previous(ctx context.Context, t deploy.Target) (deploy.Instance, error) {
	return d.look(ctx, "previous", t)
}

func (d *Deployer) question(ctx context.Context, action string, t deploy.Target) (answer, error) {
	app, err := d.script(ctx, t)
	if err != nil {
		return answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	a, _, err := ask(ctx, app, question{Action: action, Target: t, Env: app.Env})
	if err != nil {
		return a, fault.Unavailable("%s: %s: %w", t, action, err)
	}
	return a, nil
}

func (d *Deployer) look(ctx context.Context, action string, t deploy.Target) (deploy.Instance, error) {
	a, err := d.question(ctx, action, t)
	if err != nil {
		return deploy.Instance{}, err
	}
	if a.Version == "" {
		return deploy.Instance{}, fault.NotFound("nothing was deployed to %s", t)
	}
	return deploy.Instance{Target: t, Revision: deploy.Revision{Version: a.Version}, Address: a.Address}, nil
}

// Health implements deploy.Deployer.
func (d *Deployer) Health(ctx context.Context, t deploy.Target) (deploy.Health, error) {
	a, err := d.question(ctx, "health", t)
	if err != nil {
		return deploy.Health{}, err
	}
	h := deploy.Health{State: deploy.StateUnknown, Detail: a.Detail, Checked: time.Now().UTC()}
	if a.Healthy != nil {
		h.State = deploy.StateUnhealthy
		if *a.Healthy {
			h.State = deploy.StateHealthy
		}
	}
	return h, nil
}

// Remove implements deploy.Remover.
func (d *Deployer) Remove(ctx context.Context, t deploy.Target) error {
	_, err := d.question(ctx, "remove", t)
	if fault.Is(err, fault.KindNotFound) {
		return nil
	}
	return err
}

// ask runs the script once.
func ask(ctx context.Context, app deploy.App, q question) (answer, string, error) {
	in, err := json.Marshal(q)
	if err != nil {
		return answer{}, "", fault.Internal("command: %w", err)
	}
	out, noise := &head{limit: maxAnswer}, &tail{limit: maxOutput}
	if err := run(ctx, app.Script, "", app.Env, bytes.NewReader(in), out, noise); err != nil {
		return answer{}, noise.String(), firstError(said(out), err)
	}
	var a answer
	if out.over || json.Unmarshal(out.Bytes(), &a) != nil {
		return a, noise.String(), fault.Invalid("expected one JSON object of at most 1 MiB on the standard output, got %.100q", out.String())
	}
	if a.Error != "" {
		return a, noise.String(), errors.New(a.Error)
	}
	return a, noise.String(), nil
}

// said is the error that a script that failed names, if it does.
func said(out *head) error {
	var a answer
	if json.Unmarshal(out.Bytes(), &a) == nil && a.Error != "" {
		return errors.New(a.Error)
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// run runs a program in a process group of its own; nothing that it started
// outlives it.
func run(ctx context.Context, args []string, dir string, env map[string]string, in io.Reader, out, noise io.Writer) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, harmless(os.Environ())
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, noise
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = grace
	err := cmd.Run()
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // ESRCH: nothing is left
	}
	return err
}

// harmless drops variables whose names say that they hold a secret.
func harmless(env []string) []string {
	out := make([]string, 0, len(env))
next:
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		for _, word := range []string{"SECRET", "TOKEN", "PASSWORD", "PASSWD", "CREDENTIAL", "PRIVATE", "API_KEY", "APIKEY"} {
			if strings.Contains(strings.ToUpper(name), word) {
				continue next
			}
		}
		out = append(out, kv)
	}
	return out
}

// head keeps the first bytes, tail the last.
type head struct {
	bytes.Buffer
	limit int
	over  bool
}

func (h *head) Write(p []byte) (int, error) {
	room := h.limit - h.Len()
	if len(p) > room {
		h.over = true
	}
	h.Buffer.Write(p[:min(len(p), room)])
	return len(p), nil
}

type tail struct {
	mu    sync.Mutex
	limit int
	buf   []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - t.limit; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.ToValidUTF8(string(t.buf), "")
}

// Caller implements pipeline.Caller.
type Caller struct {
	// URL of the server's API, passed on as TIDEGATE_URL.
	URL string
	// HTTP sends webhooks; default a client of its own.
	HTTP *http.Client
}

var _ pipeline.Caller = (*Caller)(nil)

// Command implements pipeline.Caller. A program that ends with another code
// than 0 has failed.
func (c *Caller) Command(ctx context.Context, d pipeline.Command, env map[string]string) (string, error) {
	all := map[string]string{"TIDEGATE_URL": c.URL}
	for _, m := range []map[string]string{env, d.Env} {
		for k, v := range m {
			all[k] = v
		}
	}
	out := &tail{limit: maxOutput}
	if err := run(ctx, d.Args, d.Dir, all, nil, out, out); err != nil {
		if ctx.Err() != nil {
			return out.String(), ctx.Err()
		}
		return out.String(), fault.Invalid("%s: %w", d.Args[0], err)
	}
	return out.String(), nil
}

// Webhook implements pipeline.Caller. 2xx is done; 5xx, 429 and no answer are
// tried again by the pipeline, anything else has failed. Redirects are not
// followed: they lead to pages to log in.
func (c *Caller) Webhook(ctx context.Context, w pipeline.Webhook, key string, body []byte) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return "", fault.Invalid("webhook: the URL cannot be used")
	}
	for k, v := range w.Headers {
		req.Header.Set(k, v)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	client := c.HTTP
	if client == nil {
		client = &http.Client{}
	}
	plain := *client
	plain.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := plain.Do(req)
	if err != nil {
		return "", fault.Unavailable("webhook: %s does not answer", req.URL.Host)
	}
	defer res.Body.Close()
	raw, _ := io.ReadAll(io.LimitReader(res.Body, maxBody)) // the status decides
	text := strings.ToValidUTF8(string(raw), "")
	switch {
	case res.StatusCode/100 == 2:
		return text, nil
	case res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests:
		return text, fault.Unavailable("webhook: %s answered %s", req.URL.Host, res.Status)
	}
	return text, fault.Invalid("webhook: %s answered %s", req.URL.Host, res.Status)
}
