//go:build !race

package robust

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/connfile"
	"github.com/ipcore/ipcore/core/controller"
	"github.com/ipcore/ipcore/core/controller/db/writer"
	"github.com/ipcore/ipcore/core/profile"
	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/internal/atomicfile"
	"github.com/ipcore/ipcore/test/load"
)

// long is the thorough form of these tests, for a machine that does little else.
var long = os.Getenv("IPCORE_TEST_LONG") == "1"

// Variables that make this program another one: a controller with these
// options in JSON, or engines of the connection file of this path.
const (
	asController = "SIEGE_CONTROLLER"
	asEngines    = "SIEGE_ENGINES"
)

// settings of a controller.
type settings struct {
	Folder     string // for its log and facts
	Encryption controller.Encryption
	DB         string
	SQLiteFile string
	MaxQueued  int64  // as writer.Options has it
	OpenFiles  uint64 // limit; 0 is that of the tests
	SendQueue  int64  // as sockets.Limits has it
	StuckAfter time.Duration
}

func TestMain(m *testing.M) {
	var err error
	switch {
	case os.Getenv(asController) != "":
		err = serve(os.Getenv(asController), os.Args[1])
	case os.Getenv(asEngines) != "":
		err = populate(os.Getenv(asEngines))
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// serve is a controller that writes its facts when it gets SIGUSR1.
func serve(text, dir string) error {
	var s settings
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	if s.OpenFiles > 0 {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: s.OpenFiles, Max: s.OpenFiles}); err != nil {
			return err
		}
	}
	log, err := os.Create(filepath.Join(s.Folder, "log"))
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	go func() {
		for range asked {
			if err := writeUsage(s.Folder); err != nil {
				_, _ = fmt.Fprintln(log, err)
			}
		}
	}()
	return controller.Run(ctx, controller.Options{
		Profile: profile.Profile{Dir: dir}, Encryption: s.Encryption, DB: s.DB, DBOptions: controller.DBOptions{SQLiteFile: s.SQLiteFile, Queue: writer.Options{MaxQueued: s.MaxQueued}},
		HeartbeatPeriod: 200 * time.Millisecond, MaxMisses: 10, Limits: sockets.Limits{SendQueue: s.SendQueue, StuckAfter: s.StuckAfter},
		Log: hclog.New(&hclog.LoggerOptions{Output: log, Level: hclog.Info}),
	})
}

// usage is what a controller uses.
type usage struct {
	Goroutines int
	Files      int   // open
	RSS        int64 // bytes, without garbage
	Stacks     string
}

func (f usage) String() string {
	return fmt.Sprintf("%d goroutines, %d open files, %d MB", f.Goroutines, f.Files, f.RSS/1e6)
}

// writeUsage writes the number of goroutines and their stacks to the file facts, after a collection of garbage.
func writeUsage(folder string) error {
	debug.FreeOSMemory()
	f := usage{Goroutines: runtime.NumGoroutine()}
	var stacks strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&stacks, 1); err != nil {
		return err
	}
	f.Stacks = stacks.String()
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return atomicfile.Replace(filepath.Join(folder, "facts"), text, 0o600)
}

// populate is two engines, until standard input ends.
func populate(file string) error {
	f, err := connfile.ReadEngine(file)
	if err != nil {
		return err
	}
	all, err := load.StartEngines(context.Background(), f, 2)
	if err != nil {
		return err
	}
	for _, e := range all {
		fmt.Println(e.UUID)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	all.Close()
	return nil
}

// target is the controller under test, with its client and engines.
type target struct {
	t *testing.T
	*load.Harness
	ctx    context.Context
	folder string
}

// start runs a controller with a client and n engines until the test ends.
func start(t *testing.T, n int, s settings) *target {
	t.Helper()
	limit := 3 * time.Minute
	if long {
		limit = 20 * time.Minute
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	s.Folder = t.TempDir()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(asController, string(text))
	c, err := load.Start(ctx, program, "{dir}")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Unsetenv(asController); err != nil { // child processes must not be controllers
		t.Fatal(err)
	}
	v := &target{t: t, ctx: ctx, folder: s.Folder}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("end of the controller's log:\n%s", v.tail())
		}
		if err := c.Stop(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	})
	if v.Harness, _, err = load.NewHarness(ctx, c, n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// profile is the controller's folder.
func (v *target) profile() string {
	folder, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", v.PIDs[0]))
	if err != nil {
		v.t.Fatal(err)
	}
	return folder
}

func (v *target) log() string {
	text, err := os.ReadFile(filepath.Join(v.folder, "log"))
	if err != nil {
		v.t.Error(err)
	}
	return string(text)
}

func (v *target) tail() string {
	lines := strings.Split(v.log(), "\n")
	return strings.Join(lines[max(0, len(lines)-25):], "\n")
}

// facts asks the controller.
func (v *target) usage() usage {
	v.t.Helper()
	path := filepath.Join(v.folder, "facts")
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		v.t.Fatal(err)
	}
	pid := v.PIDs[0]
	if err := syscall.Kill(pid, syscall.SIGUSR1); err != nil {
		v.t.Fatalf("the controller has ended: %v", err)
	}
	var f usage
	await(v.t, "the controller's facts", func() bool {
		text, err := os.ReadFile(path)
		return err == nil && json.Unmarshal(text, &f) == nil
	})
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		v.t.Fatal(err)
	}
	f.Files = len(open)
	m, err := v.Memory()
	if err != nil {
		v.t.Fatal(err)
	}
	f.RSS = m.RSS
	return f
}

// awaitUsage waits until the controller holds no more than it did. Some memory is
// not given back: maps and tables keep their size.
func (v *target) awaitUsage(before usage) {
	v.t.Helper()
	const slack = 24 << 20
	var now usage
	deadline := time.Now().Add(30 * time.Second)
	for {
		now = v.usage()
		if now.Goroutines <= before.Goroutines+2 && now.Files <= before.Files+2 && now.RSS <= before.RSS+slack {
			v.t.Logf("before %v, after %v", before, now)
			return
		}
		if time.Now().After(deadline) {
			v.t.Fatalf("it does not return to what it was: before %v, after %v\n%s", before, now, now.Stacks)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// await waits for a condition.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	limit := 30 * time.Second
	if long {
		limit = 3 * time.Minute
	}
	for deadline := time.Now().Add(limit); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}
