package deploy

import (
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidegate-io/tidegate/fault"
)

// Limits on what comes from outside.
const (
	maxVersion   = 200
	maxText      = 2000
	maxArgs      = 100
	maxArgument  = 8 << 10
	maxEnv       = 200
	maxWithin    = 30 * time.Minute
	maxGrace     = 10 * time.Minute
	maxProps     = 50
	maxPropKey   = 100
	defWithin    = 30 * time.Second
	defGrace     = 10 * time.Second
	defEvery     = 250 * time.Millisecond
	maxNameBytes = 63
)

// Revision is what can be deployed: a version, and what it consists of.
type Revision struct {
	Version string `json:"version" maxLength:"200" doc:"service.version"`
	// Artifact is the digest of the content, sha256:HEX, when Tidegate holds
	// it. Equal content has an equal digest, whatever its name.
	Artifact string `json:"artifact,omitempty"`
	// Name is what the artifact was called where it came from.
	Name   string `json:"name,omitempty"`
	Commit string `json:"commit,omitempty"`
	// Source says where it came from: "directory", "file", "git", "push".
	Source     string            `json:"source,omitempty"`
	Properties map[string]string `json:"properties,omitempty" doc:"whatever else the sender said"`
}

// Same reports whether two revisions are the same thing to run.
func (r Revision) Same(o Revision) bool {
	return r.Version == o.Version && r.Artifact == o.Artifact && r.Commit == o.Commit
}

// Validate reports what is wrong, as a fault of KindInvalid.
func (r Revision) Validate() error {
	if r.Version == "" || !text(r.Version, maxVersion) || strings.ContainsAny(r.Version, "\n\r\t/\\") {
		return fault.InvalidField("version", "expected 1 to %d characters without slashes and line breaks, got %.40q", maxVersion, r.Version)
	}
	for field, v := range map[string]string{"artifact": r.Artifact, "name": r.Name, "commit": r.Commit, "source": r.Source} {
		if !text(v, maxVersion) {
			return fault.InvalidField(field, "expected at most %d characters of text", maxVersion)
		}
	}
	if len(r.Properties) > maxProps {
		return fault.InvalidField("properties", "at most %d, got %d", maxProps, len(r.Properties))
	}
	for k, v := range r.Properties {
		if k == "" || !text(k, maxPropKey) || !text(v, maxText) {
			return fault.InvalidField("properties", "%.40q: expected a key of 1 to %d and a value of up to %d characters", k, maxPropKey, maxText)
		}
	}
	return nil
}

// App says how a revision is run. Which fields count depends on the deployer.
type App struct {
	// Service is the name under which the app reports its telemetry; default
	// the app's own.
	Service string `json:"service,omitempty"`
	// Run is the program and its arguments, relative to the artifact. Default:
	// the artifact itself when it is one file, else the file in it that is
	// named like the app. ${PORT} stands for the port.
	Run []string          `json:"run,omitempty"`
	Env map[string]string `json:"env,omitempty"`
	// Port the program listens on. 0 takes a free one for each revision, so
	// that two run side by side while one replaces the other. A fixed port
	// means a short gap: the one has to go before the other comes.
	Port  int   `json:"port,omitempty"`
	Check Check `json:"check,omitzero"`
	// Grace is how long a program may take to end by itself; default 10 s.
	Grace time.Duration `json:"grace,omitempty" doc:"nanoseconds"`
	// Script is the program of the command deployer and its arguments.
	Script []string `json:"script,omitempty"`
}

// Check says when a program serves.
type Check struct {
	// Path is asked for by GET; an answer below 400 is healthy. Empty: a
	// connection to the port is enough. None: what runs is healthy.
	Path string `json:"path,omitempty"`
	None bool   `json:"none,omitempty" doc:"for programs that listen on no port"`
	// Within is how long a program may take until it is healthy; default 30 s.
	Within time.Duration `json:"within,omitempty" doc:"nanoseconds"`
	// Every is the pause between two checks; default 250 ms.
	Every time.Duration `json:"every,omitempty" doc:"nanoseconds"`
}

// WithDefaults returns the app with everything set that may be left out.
func (a App) WithDefaults(name string) App {
	if a.Service == "" {
		a.Service = name
	}
	if a.Check.Within == 0 {
		a.Check.Within = defWithin
	}
	if a.Check.Every == 0 {
		a.Check.Every = defEvery
	}
	if a.Grace == 0 {
		a.Grace = defGrace
	}
	return a
}

// Merge returns the app with what over says in place of what a says;
// environment variables are joined.
func (a App) Merge(over App) App {
	if over.Service != "" {
		a.Service = over.Service
	}
	if len(over.Run) > 0 {
		a.Run = over.Run
	}
	if len(over.Script) > 0 {
		a.Script = over.Script
	}
	if over.Port != 0 {
		a.Port = over.Port
	}
	if over.Grace != 0 {
		a.Grace = over.Grace
	}
	if over.Check != (Check{}) {
		a.Check = over.Check
	}
	env := maps.Clone(a.Env)
	if env == nil {
		env = map[string]string{}
	}
	maps.Copy(env, over.Env)
	if len(env) > 0 {
		a.Env = env
	}
	return a
}

// Validate reports what is wrong, as a fault of KindInvalid.
func (a App) Validate() error {
	switch {
	case !text(a.Service, maxVersion):
		return fault.InvalidField("service", "expected at most %d characters of text", maxVersion)
	case a.Port < 0 || a.Port > 65535:
		return fault.InvalidField("port", "expected 0 to 65535, got %d", a.Port)
	case a.Grace < 0 || a.Grace > maxGrace:
		return fault.InvalidField("grace", "expected 0s to %s, got %s", maxGrace, a.Grace)
	case a.Check.Within < 0 || a.Check.Within > maxWithin:
		return fault.InvalidField("health.within", "expected 0s to %s, got %s", maxWithin, a.Check.Within)
	case a.Check.Every < 0 || a.Check.Every > maxWithin:
		return fault.InvalidField("health.every", "expected 0s to %s, got %s", maxWithin, a.Check.Every)
	case a.Check.Path != "" && a.Check.None:
		return fault.InvalidField("health.none", "expected path or none, not both")
	case a.Check.Path != "" && !local(a.Check.Path):
		return fault.InvalidField("health.path", "%q: expected a path like /healthz", a.Check.Path)
	}
	if err := arguments("run", a.Run); err != nil {
		return err
	}
	if err := arguments("script", a.Script); err != nil {
		return err
	}
	if len(a.Env) > maxEnv {
		return fault.InvalidField("env", "at most %d variables, got %d", maxEnv, len(a.Env))
	}
	for k, v := range a.Env {
		if k == "" || strings.ContainsAny(k, "=\x00") || len(v) > maxArgument || strings.ContainsRune(v, 0) {
			return fault.InvalidField("env", "%.40q is not a variable that can be set", k)
		}
	}
	return nil
}

func arguments(field string, args []string) error {
	if len(args) > maxArgs {
		return fault.InvalidField(field, "at most %d arguments, got %d", maxArgs, len(args))
	}
	for i, a := range args {
		if len(a) > maxArgument || strings.ContainsRune(a, 0) || (i == 0 && a == "") {
			return fault.InvalidField(field, "argument %d is empty, too long or holds NUL", i)
		}
	}
	return nil
}

// local reports whether p is a path on the app itself.
func local(p string) bool {
	u, err := url.Parse(p)
	return err == nil && u.Host == "" && u.Scheme == "" && strings.HasPrefix(u.Path, "/") && !strings.HasPrefix(p, "//")
}

func text(s string, limit int) bool {
	return len(s) <= limit && utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}

// ValidName reports whether s is fit for the name of an app, an environment
// or a slot: it becomes a part of paths and of names of variables.
func ValidName(s string) bool {
	return s != "" && len(s) <= maxNameBytes && path.Base(s) == s && s != "." && s != ".." &&
		!slices.ContainsFunc([]byte(s), func(c byte) bool {
			return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.')
		})
}
