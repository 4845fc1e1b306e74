// Package plugintest runs the checks of package conformance on a launcher in Go, in the
// process of its test, over real gRPC and with real workloads.
//
//	func TestConformance(t *testing.T) {
//		plugintest.Run(t, plugintest.Config{Info: Info(), New: New})
//	}
//
// Checks that need the launcher's executable are not applicable here; `ipcore launchers
// test` runs them.
package plugintest

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/conformance"
)

// Config describes what to test. Info and New are the arguments that the launcher's main
// function passes to sdk.Serve.
type Config struct {
	Info sdk.Info
	New  sdk.Factory

	// Patience bounds every wait; 0 means 30 s. It has to be longer than Info.PollEvery
	// of a launcher without Wait, which should be short in a test.
	Patience time.Duration

	// Prepare changes a request before it is sent, for example to add the options
	// without which the launcher does not start. May be nil.
	Prepare func(t *testing.T, r *sdk.StartRequest)

	// DefaultN is how many engines a set has when a request does not say; 0 means the
	// number of CPUs.
	DefaultN int
}

// Run runs all checks for every kind of workload that the launcher starts, each as a
// subtest. It skips the test on Windows.
func Run(t *testing.T, c Config) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the workloads of these tests are shell scripts")
	}
	if c.DefaultN == 0 {
		c.DefaultN = runtime.NumCPU()
	}
	first, err := serve(c)
	if err != nil {
		t.Fatal(err)
	}
	info := first.server.Info
	first.Close()
	checked := conformance.Config{
		Info: info, Patience: c.Patience, DefaultN: c.DefaultN, Dir: t.TempDir(),
		Open: func(context.Context) (conformance.Plugin, error) { return serve(c) },
	}
	if c.Prepare != nil {
		checked.Prepare = func(r *sdk.StartRequest) { c.Prepare(t, r) }
	}
	cases, err := conformance.Cases(checked)
	if err != nil {
		t.Fatal(err)
	}
	run := func(one conformance.Case, t *testing.T) {
		r := one.Run(t.Context())
		switch r.Outcome {
		case conformance.Fail:
			t.Errorf("want: %s\nseen: %s", r.Want, r.Seen)
		case conformance.NotApplicable:
			t.Logf("not applicable: %s", r.Seen)
		case conformance.Pass:
		}
	}
	t.Run("checks", func(t *testing.T) {
		for _, one := range cases {
			if !one.Check.Last {
				t.Run(one.Name(), func(t *testing.T) { t.Parallel(); run(one, t) })
			}
		}
	})
	for _, one := range cases {
		if one.Check.Last {
			t.Run(one.Name(), func(t *testing.T) { run(one, t) })
		}
	}
}

// plugin is a launcher served inside this process.
type plugin struct {
	server *sdk.TestServer
	conn   *grpc.ClientConn
}

func serve(c Config) (*plugin, error) {
	s, err := sdk.ServeTest(c.Info, c.New, hclog.NewNullLogger())
	if err != nil {
		return nil, err
	}
	address := s.Address
	if s.Network == "unix" {
		address = "unix:" + address
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(sdk.MaxMessage), grpc.MaxCallSendMsgSize(sdk.MaxMessage)))
	if err != nil {
		s.Close()
		return nil, errors.Join(errors.New("connect to the served launcher"), err)
	}
	return &plugin{server: s, conn: conn}, nil
}

// Client returns the host's side of the connection.
func (p *plugin) Client() *sdk.Client { return sdk.NewClient(p.conn) }

// Close ends the server as the end of a plugin process would.
func (p *plugin) Close() {
	_ = p.conn.Close() // Close may be called twice
	p.server.Close()
}
