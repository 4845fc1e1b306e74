package conformance

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

// maxSeen bounds a text in the report about what was seen, in bytes.
const maxSeen = 600

// fixture is what one run of a check uses: an opened plugin, and a folder in which
// workloads create files.
type fixture struct {
	*run
	check  Check
	kind   sdk.Kind
	ctx    context.Context
	dir    string // for the workloads' files
	secret string // must not be visible outside of the workload
	tag    string // tag of everything that the check starts

	*sdk.Client // the client of plugin; nil for a check of the executable
	plugin      Plugin
	state       sdk.State // of the workload that stopRestored has to stop

	mu       sync.Mutex
	outcome  Outcome
	seen     []string
	cleanups []func()
}

// notApplicable returns the reason why the check does not apply to this launcher, or "".
func (b *fixture) notApplicable() string {
	switch {
	case b.check.Executable && len(b.Command) == 0:
		return "the check needs the plugin's executable"
	case b.check.Linux && runtime.GOOS != "linux":
		return "the check reads /proc, so it needs Linux"
	case b.check.EngineSets && b.kind != sdk.Engine:
		return "the check applies to sets of engines only"
	case b.check.Capability != "" && !b.Info.Has(b.check.Capability):
		return "the capability " + string(b.check.Capability) + " is not declared"
	}
	if hints := b.Info.Conformance; hints != nil {
		return hints.Skip[b.check.Name]
	}
	return ""
}

func (b *fixture) setUp() {
	dir, err := os.MkdirTemp(b.Dir, "ipcore-check-")
	if err != nil {
		b.fatalf("create a folder: %v", err)
	}
	b.dir = dir
	b.secret = b.mark + "-" + filepath.Base(dir)
	b.tag = "check-" + rand.Text()[:12]
	b.onCleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			b.errorf("remove the check's folder: %v", err)
		}
	})
	b.onCleanup(b.killLeft)
	if !b.check.Executable {
		b.usePlugin()
	}
}

// stopLeftWorkload stops the workload of a failed check, while the plugin can do it.
func (b *fixture) stopLeftWorkload() {
	if _, alive := b.pids(); b.outcome != Fail && len(alive) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.ctx), b.Patience)
	defer cancel()
	_ = b.Stop(ctx, "w") // mostly it is stopped already, or was never started
}

// open opens one more plugin, as a later start of ipcore would.
func (b *fixture) open() Plugin {
	p, err := b.Open(b.ctx)
	if err != nil {
		b.fatalf("open the plugin: %v", err)
	}
	b.onCleanup(p.Close)
	return p
}

// usePlugin opens a plugin, which is the check's own from now on.
func (b *fixture) usePlugin() {
	b.plugin = b.open()
	b.Client = b.plugin.Client()
	b.onCleanup(b.stopLeftWorkload)
}

// anotherClient returns the client of one more plugin.
func (b *fixture) anotherClient() *sdk.Client { return b.open().Client() }

// onCleanup registers a function to call at the end, in reverse order.
func (b *fixture) onCleanup(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cleanups = append(b.cleanups, f)
}

func (b *fixture) cleanUp() {
	for {
		b.mu.Lock()
		n := len(b.cleanups)
		if n == 0 {
			b.mu.Unlock()
			return
		}
		f := b.cleanups[n-1] // which may register more
		b.cleanups = b.cleanups[:n-1]
		b.mu.Unlock()
		f()
	}
}

// errorf records a failure; the check continues.
func (b *fixture) errorf(format string, args ...any) {
	text := strings.ToValidUTF8(strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " | "), "\uFFFD")
	if len(text) > maxSeen {
		text = strings.ToValidUTF8(text[:maxSeen], "") + "..."
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.outcome = Fail
	if len(b.seen) < 4 {
		b.seen = append(b.seen, text)
	}
}

// fatalf records a failure and ends the check.
func (b *fixture) fatalf(format string, args ...any) {
	b.errorf(format, args...)
	runtime.Goexit()
}

// skip ends the check as not applicable.
func (b *fixture) skip(format string, args ...any) {
	b.mu.Lock()
	if b.outcome != Fail {
		b.outcome = NotApplicable
		b.seen = append(b.seen, fmt.Sprintf(format, args...))
	}
	b.mu.Unlock()
	runtime.Goexit()
}

// noError fails the check if err is not nil.
func (b *fixture) noError(what string, err error) {
	if err != nil {
		b.errorf("%s: %v", what, err)
	}
}

// wantError fails the check unless err wraps want.
func (b *fixture) wantError(what string, err, want error) {
	if !errors.Is(err, want) {
		b.errorf("%s: got %v, want an error that wraps %q", what, err, want)
	}
}

// script returns a shell script that sets $D to the folder and records its pid first.
func (b *fixture) script(text string) string {
	return "D=" + sdk.ShellQuote(b.dir) + "; " + writePID + text
}

// writePID records the pid of the shell that runs it, as the name of a file.
const writePID = `: >"$D/pid.$$"; `

// sleeper is the end of a script that runs until it is ended.
const sleeper = `exec sleep 600`

// request returns a request for a workload: n copies of a shell script.
func (b *fixture) request(id string, n int, script string) sdk.StartRequest {
	r := sdk.StartRequest{
		Kind: b.kind, ID: id, ProfileDir: b.dir, ClusterID: "check",
		Command: []string{"/bin/sh", "-c", b.script(script)},
		Env:     map[string]string{"IPCORE_CONFORMANCE_SECRET": b.secret, sdk.EnvTag: b.tag}, Tag: b.tag,
		WorkDir: b.dir, LogDir: filepath.Join(b.dir, "log"),
	}
	if b.kind == sdk.Engine {
		r.N = &n
	}
	if b.Prepare != nil {
		b.Prepare(&r)
	}
	return r
}

// processes returns how many processes a request for n engines starts: n for a set, else
// one.
func (b *fixture) processes(n int) int {
	if b.kind == sdk.Engine {
		return n
	}
	return 1
}

// start starts the workload "w" and waits until its processes have recorded their pids.
func (b *fixture) start(n int, script string) sdk.State {
	state := b.mustStart(b.request("w", n, script))
	if len(state) == 0 || state[0] != '{' || !json.Valid(state) {
		b.fatalf("Start returned a state that is not a JSON object: %.200q", []byte(state))
	}
	b.waitAlive(b.processes(n))
	return state
}

// mustStart sends a request that has to succeed.
func (b *fixture) mustStart(r sdk.StartRequest) sdk.State {
	state, err := b.Start(b.ctx, r)
	if err != nil {
		b.fatalf("Start: %v", err)
	}
	return state
}

// stop stops the workload "w" and checks that nothing of it is left.
func (b *fixture) stop() {
	b.noError("Stop", b.Stop(b.ctx, "w"))
	b.noneAlive("after Stop")
}

// pids returns the recorded pids, and those that are alive.
func (b *fixture) pids() (all, alive []int) {
	files, err := filepath.Glob(filepath.Join(b.dir, "pid.*"))
	if err != nil {
		b.fatalf("%v", err)
	}
	for _, f := range files {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Ext(f), "."))
		if err != nil {
			b.fatalf("%v", err)
		}
		all = append(all, pid)
		if isAlive(pid) {
			alive = append(alive, pid)
		}
	}
	return all, alive
}

func isAlive(pid int) bool {
	_, err := process.Attach(process.State{PID: pid})
	return err == nil
}

// waitAlive waits until exactly n processes are alive.
func (b *fixture) waitAlive(n int) {
	var pids []int
	b.waitFor(func() bool {
		_, pids = b.pids()
		return len(pids) == n
	}, func() string { return fmt.Sprintf("%d processes are alive, want %d", len(pids), n) })
}

// noneAlive fails the check if a process of a workload, or one that it started, is alive.
func (b *fixture) noneAlive(when string) {
	if _, alive := b.pids(); len(alive) > 0 {
		b.errorf("%s: processes %v are alive", when, alive)
	} else if left := leftProcesses(b.secret); len(left) > 0 {
		b.errorf("%s: these processes are alive: %v", when, left)
	}
}

// eventually reports whether a condition becomes true within Patience.
func (b *fixture) eventually(f func() bool) bool {
	limit := time.Now().Add(b.Patience)
	for !f() {
		if time.Now().After(limit) || b.ctx.Err() != nil {
			return false
		}
		time.Sleep(5 * time.Millisecond)
	}
	return true
}

// waitFor waits until a condition is true, and ends the check if it does not become true
// in time.
func (b *fixture) waitFor(f func() bool, otherwise func() string) {
	if !b.eventually(f) {
		b.fatalf("after %v: %s", b.Patience, otherwise())
	}
}

// kill ends a process from outside and waits until it has ended. It may have ended
// together with another: some MPIs end all ranks with one.
func (b *fixture) kill(pid int) {
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Kill()
	}
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		b.fatalf("kill pid %d: %v", pid, err)
	}
	b.waitFor(func() bool { return !isAlive(pid) }, func() string { return fmt.Sprintf("pid %d is alive after SIGKILL", pid) })
}

// killLeft kills the processes that a failed check has left.
func (b *fixture) killLeft() {
	_, alive := b.pids()
	for _, pid := range alive {
		if p, err := os.FindProcess(pid); err == nil {
			_ = p.Kill() // it may have ended just now
		}
	}
}

// readFile waits until a workload has written a file of the folder, and returns its text.
func (b *fixture) readFile(name string) string {
	var text []byte
	b.waitFor(func() bool {
		var err error
		text, err = os.ReadFile(filepath.Join(b.dir, name))
		return err == nil
	}, func() string { return "the workload has not written the file " + name })
	return string(text)
}

// events returns all events of "w" after a number, once the workload has ended.
func (b *fixture) events(c *sdk.Client, after uint64) []sdk.Event {
	ctx, cancel := context.WithTimeout(b.ctx, b.Patience)
	defer cancel()
	var all []sdk.Event
	if err := c.Events(ctx, "w", after, func(e sdk.Event) error { all = append(all, e); return nil }); err != nil {
		b.fatalf("Events after %s: %v", eventsText(all), err)
	}
	return all
}

// eventLog reads and checks all events of "w", and returns the last one.
func (b *fixture) eventLog(c *sdk.Client) sdk.Event {
	all := b.events(c, 0)
	b.checkEvents(all)
	return all[len(all)-1]
}

// eventsText returns a short text about events.
func eventsText(events []sdk.Event) string {
	words := make([]string, len(events))
	for i, e := range events {
		words[i] = fmt.Sprintf("%d %s", e.Seq, e.Kind)
	}
	return "[" + strings.Join(words, ", ") + "]"
}

// checkEvents checks the form and the order of all events of a workload.
func (b *fixture) checkEvents(events []sdk.Event) {
	for i, e := range events {
		last := i == len(events)-1
		if e.Seq != uint64(i+1) || (e.Kind == sdk.EventRunning) != (i == 0) || (e.Kind == sdk.EventStopped) != last || e.ID != "w" {
			b.fatalf("event %d has a wrong number, kind or id: %s", i+1, eventsText(events))
		}
		if len(e.Text) > 16<<10 {
			b.errorf("event %d has a text of %d bytes, the limit is 16 KiB", e.Seq, len(e.Text))
		}
	}
	if len(events) < 2 {
		b.fatalf("the events are %s; they have to begin with running and end with stopped", eventsText(events))
	}
}
