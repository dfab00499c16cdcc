package httpapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Guard is the gate in front of every handler of the API port.
//
// Without tokens it serves only those who come by a loopback or literal
// address: a web page that resolves its own name to this machine (DNS
// rebinding) is refused by its Host header. With tokens every request needs
// one. Requests from browsers that change something must come from our own
// pages (Fetch metadata, Origin).
type Guard struct {
	// Tokens that are accepted; empty means that none is needed.
	Tokens []string
	// Hosts that may be asked for by name, besides localhost.
	Hosts []string
	// Foreign are paths whose handlers check the caller themselves, the way the
	// tools that post there expect: a signature, a routing key.
	Foreign []string
}

// open are the paths that need no token: health checks, and the pages
// themselves, which hold no data.
func open(path string) bool {
	return path == "/healthz" || path == "/readyz" || strings.HasPrefix(path, "/assets/")
}

// Allowed reports whether the header carries an accepted token, in any of the
// forms "Bearer T", "Api-Token T" and "Token T".
func (g *Guard) Allowed(authorization string) bool {
	if len(g.Tokens) == 0 {
		return true
	}
	scheme, token, ok := strings.Cut(authorization, " ")
	switch strings.ToLower(scheme) {
	case "bearer", "api-token", "token":
	default:
		ok = false
	}
	if !ok {
		return false
	}
	given := sha256.Sum256([]byte(strings.TrimSpace(token)))
	match := 0
	for _, t := range g.Tokens {
		want := sha256.Sum256([]byte(t))
		match |= subtle.ConstantTimeCompare(given[:], want[:])
	}
	return match == 1
}

// Wrap returns next behind the gate.
func (g *Guard) Wrap(next http.Handler) http.Handler {
	crossOrigin := http.NewCrossOriginProtection()
	return crossOrigin.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		if !g.hostAllowed(r.Host) {
			http.Error(w, "unknown host name: start the server with --host "+hostOnly(r.Host)+" to allow it", http.StatusMisdirectedRequest)
			return
		}
		if !open(r.URL.Path) && !slices.Contains(g.Foreign, r.URL.Path) && !g.authorized(r) {
			h.Add("WWW-Authenticate", `Bearer realm="tidegate"`)
			h.Add("WWW-Authenticate", `Basic realm="tidegate (any user, token as password)"`)
			http.Error(w, "a token is needed: Authorization: Bearer …", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	}))
}

// authorized also takes the token as the password of HTTP basic authentication,
// which is how a browser asks a person for it.
func (g *Guard) authorized(r *http.Request) bool {
	if g.Allowed(r.Header.Get("Authorization")) {
		return true
	}
	if _, password, ok := r.BasicAuth(); ok { // what a browser can ask for by itself
		return g.Allowed("Bearer " + password)
	}
	return false
}

func (g *Guard) hostAllowed(host string) bool {
	name := hostOnly(host)
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	if len(g.Tokens) > 0 {
		return true // a rebinding page has no token
	}
	for _, h := range g.Hosts {
		if strings.EqualFold(h, name) {
			return true
		}
	}
	return false
}

func hostOnly(hostport string) string {
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		return h
	}
	return strings.Trim(hostport, "[]")
}
