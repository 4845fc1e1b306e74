// Package plugintest holds the tests that every launcher has to pass. They run a
// launcher as its plugin would, over real gRPC, inside the test's process, and
// start real workloads: small shell scripts.
//
//	func TestConformance(t *testing.T) {
//		plugintest.Run(t, plugintest.Config{Info: Info(), New: New})
//	}
package plugintest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

// Config says what to test. Info and New are what the launcher's main passes to
// sdk.Serve.
type Config struct {
	Info sdk.Info
	New  sdk.New

	// Patience bounds every wait; 0 means 30 s. A launcher without Wait needs more
	// than its Info.PollEvery, which a test does well to make short.
	Patience time.Duration

	// Prepare changes a request before it is sent, for example to add the options
	// without which the launcher does not start. May be nil.
	Prepare func(t *testing.T, r *sdk.StartRequest)

	// DefaultN is how many engines a set gets when nobody says; 0 means the number
	// of CPUs.
	DefaultN int
}

// Run runs all the tests for every kind that the launcher starts.
func Run(t *testing.T, c Config) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the workloads of these tests are shell scripts")
	}
	if c.Patience == 0 {
		c.Patience = 30 * time.Second
	}
	if c.DefaultN == 0 {
		c.DefaultN = runtime.NumCPU()
	}
	t.Run("describe", func(t *testing.T) { testDescribe(t, c) })
	for _, kind := range c.Info.Kinds {
		t.Run(string(kind), func(t *testing.T) {
			for _, test := range tests {
				t.Run(test.name, func(t *testing.T) {
					t.Parallel()
					test.run(newBed(t, c, kind))
				})
			}
		})
	}
}

// tests are the cases, each run for every kind.
var tests = []struct {
	name string
	run  func(*bed)
}{
	{"start and stop", testStartStop},
	{"default n", testDefaultN},
	{"start again", testStartAgain},
	{"requests that can't be carried out", testBadRequests},
	{"a command that is not there", testNoCommand},
	{"big options", testBigOptions},
	{"unknown id", testUnknownID},
	{"restore", testRestore},
	{"restore what has ended", testRestoreEnded},
	{"restore nonsense", testRestoreNonsense},
	{"detach", testDetach},
	{"end by itself", testEnd},
	{"events again", testReplay},
	{"many streams", testManyStreams},
	{"cancelled stream", testCancelledStream},
	{"stop from many", testStopTogether},
	{"grandchildren", testGrandchildren},
	{"deaf to SIGTERM", testDeaf},
	{"environment", testEnvironment},
	{"signal", testSignal},
	{"output", testOutput},
	{"powers not had", testUnsupported},
}

// bed is one test: a served plugin, and a folder in which workloads leave files.
type bed struct {
	*testing.T
	c    Config
	kind sdk.Kind
	dir  string
	ctx  context.Context
	*sdk.Client
	server *sdk.TestServer
}

func newBed(t *testing.T, c Config, kind sdk.Kind) *bed {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*c.Patience)
	t.Cleanup(cancel)
	b := &bed{T: t, c: c, kind: kind, dir: t.TempDir(), ctx: ctx}
	b.server, b.Client = b.serve()
	t.Cleanup(b.sweep)
	return b
}

// serve starts one more plugin, as a later start of ipcore would.
func (b *bed) serve() (*sdk.TestServer, *sdk.Client) {
	b.Helper()
	s, err := sdk.ServeTest(b.c.Info, b.c.New, hclog.NewNullLogger())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Close)
	address := s.Address
	if s.Network == "unix" {
		address = "unix:" + address
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(sdk.MaxMessage), grpc.MaxCallSendMsgSize(sdk.MaxMessage)))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := conn.Close(); err != nil {
			b.Error(err)
		}
	})
	return s, sdk.NewClient(conn)
}

// announce is the beginning of every workload: it leaves its pid behind.
const announce = `echo $$ >"$PLUGINTEST_DIR/pid.$$"; `

// sleeper is a workload that lives until it is ended.
const sleeper = announce + `exec sleep 600`

// request asks for a workload: n copies of a shell script.
func (b *bed) request(id string, n int, script string) sdk.StartRequest {
	b.Helper()
	r := sdk.StartRequest{
		Kind: b.kind, ID: id, ProfileDir: b.dir, ClusterID: "plugintest",
		Command: []string{"/bin/sh", "-c", script},
		Env:     map[string]string{"PLUGINTEST_DIR": b.dir},
		WorkDir: b.dir, LogDir: filepath.Join(b.dir, "log"),
	}
	if b.kind == sdk.Engine {
		r.N = &n
	}
	if b.c.Prepare != nil {
		b.c.Prepare(b.T, &r)
	}
	return r
}

// n is how many processes a request for n engines makes of this kind.
func (b *bed) n(n int) int {
	if b.kind == sdk.Engine {
		return n
	}
	return 1
}

// start starts a workload and waits until its processes have announced
// themselves.
func (b *bed) start(id string, n int, script string) sdk.State {
	b.Helper()
	state, err := b.Start(b.ctx, b.request(id, n, script))
	if err != nil {
		b.Fatalf("Start: %v", err)
	}
	if !json.Valid(state) || len(state) == 0 || state[0] != '{' {
		b.Fatalf("Start answered a state that is not a JSON object: %.200q", []byte(state))
	}
	b.waitAlive(b.n(n))
	return state
}

// pids answers the processes that announced themselves, and which are alive.
func (b *bed) pids() (all, alive []int) {
	b.Helper()
	files, err := filepath.Glob(filepath.Join(b.dir, "pid.*"))
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range files {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Ext(f), "."))
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, pid)
		if _, err := process.Attach(process.State{PID: pid}); err == nil {
			alive = append(alive, pid)
		}
	}
	return all, alive
}

func (b *bed) waitAlive(n int) []int {
	b.Helper()
	var pids []int
	b.until(fmt.Sprintf("%d processes are alive", n), func() bool {
		_, pids = b.pids()
		return len(pids) == n
	})
	return pids
}

// noneAlive fails at once when a process of a workload is alive.
func (b *bed) noneAlive(when string) {
	b.Helper()
	if _, alive := b.pids(); len(alive) > 0 {
		b.Errorf("%s: processes %v are alive", when, alive)
	}
}

// until waits for a condition.
func (b *bed) until(what string, f func() bool) {
	b.Helper()
	limit := time.Now().Add(b.c.Patience)
	for !f() {
		if time.Now().After(limit) {
			b.Fatalf("waited %v in vain: %s", b.c.Patience, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// sweep ends what a failed test left.
func (b *bed) sweep() {
	_, alive := b.pids()
	for _, pid := range alive {
		if p, err := os.FindProcess(pid); err == nil {
			_ = p.Kill() // it may have ended just now
		}
	}
}

// is fails unless err wraps the sentinel.
func (b *bed) is(what string, err, want error) {
	b.Helper()
	if !errors.Is(err, want) {
		b.Errorf("%s: got %v, want an error that is %q", what, err, want)
	}
}

// events collects all events of "w" after a number, until the workload has ended.
func (b *bed) events(c *sdk.Client, after uint64) []sdk.Event {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, b.c.Patience)
	defer cancel()
	var all []sdk.Event
	if err := c.Events(ctx, "w", after, func(e sdk.Event) error { all = append(all, e); return nil }); err != nil {
		b.Fatalf("Events after %v: %v", all, err)
	}
	return all
}

// wellFormed checks a whole story of events.
func (b *bed) wellFormed(events []sdk.Event) {
	b.Helper()
	for i, e := range events {
		last := i == len(events)-1
		if e.Seq != uint64(i+1) || (e.Kind == sdk.EventRunning) != (i == 0) || (e.Kind == sdk.EventStopped) != last || e.ID == "" {
			b.Fatalf("event %d of %d is out of order: %+v", i+1, len(events), events)
		}
		if len(e.Text) > 16<<10 {
			b.Errorf("event %d has a text of %d bytes, the limit is 16 KiB", e.Seq, len(e.Text))
		}
	}
	if len(events) < 2 {
		b.Fatalf("want running and stopped at least, got %+v", events)
	}
}
