package stage

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/tidegate-io/tidegate/demo/child"
	"github.com/tidegate-io/tidegate/demo/shop"
	"github.com/tidegate-io/tidegate/fault"
)

// Shop is the demo's shop of eight services, each a process of its own.
type Shop struct {
	URL string

	environment, bank string

	sockets   map[string]net.Listener
	processes map[string]*child.Process
}

// Order is what a customer of the shop sends to /api/checkout.
//
//go:embed order.json
var Order []byte

// OpenShop opens the sockets that the services inherit: every address is
// known before anything runs, and no port can be lost to somebody else.
func (s *Stage) OpenShop() error {
	s.Shop = &Shop{sockets: map[string]net.Listener{}, processes: map[string]*child.Process{}}
	for _, name := range shop.Services() {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("socket for %s: %w", name, err)
		}
		s.Shop.sockets[name] = ln
	}
	s.Shop.URL = "http://" + s.Shop.sockets[shop.Frontend].Addr().String()
	return nil
}

// StartShop starts the services in an environment and waits until the first
// order went through. With a bank, payment has cards authorized there.
func (s *Stage) StartShop(ctx context.Context, environment, bank string) error {
	s.Shop.environment, s.Shop.bank = environment, bank
	for _, name := range shop.Services() {
		if err := s.StartService(name, "1.0.0"); err != nil {
			return err
		}
	}
	client := http.Client{Timeout: 2 * time.Second}
	err := s.Until(ctx, startTimeout, 50*time.Millisecond, "the shop is ready", func() (bool, error) {
		resp, err := client.Get(s.Shop.URL + "/readyz")
		if err != nil {
			return false, nil //nolint:nilerr // not yet
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK, nil
	})
	if err != nil {
		return err
	}
	return s.Shop.firstOrder(ctx)
}

// StartService starts a release of a service, in the place of the one that
// runs: calls that come meanwhile wait at the socket, none is lost.
func (s *Stage) StartService(name, release string, more ...string) error {
	if old := s.Shop.processes[name]; old != nil {
		s.Stop(old)
	}
	args := append([]string{"demo", "shop", name, "-listen", "fd:3", "-otlp", s.At.OTLPGRPC, "-flagd", s.At.FlagEvaluation,
		"-environment", s.Shop.environment, "-release", release, "-bank", s.Shop.bank}, more...)
	for _, peer := range shop.Calls(name) {
		args = append(args, "-peer", peer+"="+s.Shop.sockets[peer].Addr().String())
	}
	socket, err := s.Shop.sockets[name].(*net.TCPListener).File()
	if err != nil {
		return fmt.Errorf("socket of %s: %w", name, err)
	}
	defer socket.Close()
	s.Shop.processes[name], err = s.Start(name, nil, []*os.File{socket}, args...)
	return err
}

// firstOrder buys something, so that a shop that does not work says so now.
func (s *Shop) firstOrder(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/api/checkout", bytes.NewReader(Order))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
		return fault.Internal("the first order: %s: %s", resp.Status, body)
	}
	return nil
}

// close gives up the sockets that the services inherit.
func (s *Shop) close() {
	for _, ln := range s.sockets {
		ln.Close()
	}
}
