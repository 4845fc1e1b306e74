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

// maxSeen bounds what one line of the report tells, in bytes.
const maxSeen = 600

// bed is one check that runs: an opened plugin, and a folder in which workloads
// leave files.
type fixture struct {
	*run
	check  Check
	kind   sdk.Kind
	ctx    context.Context
	dir    string // of the workloads' files
	secret string // what must not be seen outside of the workload
	tag    string // of everything that the check starts

	*sdk.Client // of plugin; nil for a check of the executable
	plugin      Plugin
	state       sdk.State // of what a plugin process of the check's own has started

	mu       sync.Mutex
	outcome  Outcome
	seen     []string
	cleanups []func()
}

// notApplicable tells why the check is not for this launcher, or "".
func (b *fixture) notApplicable() string {
	switch {
	case b.check.Executable && len(b.Command) == 0:
		return "it needs the plugin's executable"
	case b.check.Linux && runtime.GOOS != "linux":
		return "it reads /proc, so it needs Linux"
	case b.check.EngineSets && b.kind != sdk.Engine:
		return "it is about sets of engines"
	case b.check.Capability != "" && !b.Info.Has(b.check.Capability):
		return "the power " + string(b.check.Capability) + " is not declared"
	}
	if hints := b.Info.Conformance; hints != nil {
		return hints.Skip[b.check.Name]
	}
	return ""
}

func (b *fixture) setUp() {
	dir, err := os.MkdirTemp(b.Dir, "ipcore-check-")
	if err != nil {
		b.fatalf("make a folder: %v", err)
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

// endLeft stops what a failed check left, while the plugin is there to do it.
func (b *fixture) stopLeftWorkload() {
	if _, alive := b.pids(); b.outcome != Fail && len(alive) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.ctx), b.Patience)
	defer cancel()
	_ = b.Stop(ctx, "w") // stopped or never started in most cases
}

// open opens one more plugin, as a later start of ipcore would.
func (b *fixture) open() Plugin {
	p, err := b.Open(b.ctx)
	if err != nil {
		b.fatalf("the plugin can't be opened: %v", err)
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

// another answers the client of one more plugin.
func (b *fixture) anotherClient() *sdk.Client { return b.open().Client() }

// later registers what to do at the end, last first.
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

// errorf notes a failure; the check goes on.
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

// fatalf notes a failure and ends the check.
func (b *fixture) fatalf(format string, args ...any) {
	b.errorf(format, args...)
	runtime.Goexit()
}

// na ends the check as not applicable.
func (b *fixture) skip(format string, args ...any) {
	b.mu.Lock()
	if b.outcome != Fail {
		b.outcome = NotApplicable
		b.seen = append(b.seen, fmt.Sprintf(format, args...))
	}
	b.mu.Unlock()
	runtime.Goexit()
}

// no fails when there is an error.
func (b *fixture) noError(what string, err error) {
	if err != nil {
		b.errorf("%s: %v", what, err)
	}
}

// is fails unless err wraps the sentinel.
func (b *fixture) wantError(what string, err, want error) {
	if !errors.Is(err, want) {
		b.errorf("%s: %v, not an error that is %q", what, err, want)
	}
}

// script answers a shell script that begins with the folder in $D and leaves its
// pid behind.
func (b *fixture) script(text string) string {
	return "D=" + sdk.ShellQuote(b.dir) + "; " + writePID + text
}

// announce leaves the pid of the shell that runs it in a file's name.
const writePID = `: >"$D/pid.$$"; `

// sleeper is the end of a script that lives until it is ended.
const sleeper = `exec sleep 600`

// request asks for a workload: n copies of a shell script.
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

// n is how many processes a request for n engines makes of this kind.
func (b *fixture) processes(n int) int {
	if b.kind == sdk.Engine {
		return n
	}
	return 1
}

// start starts the workload "w" and waits until its processes have announced
// themselves.
func (b *fixture) start(n int, script string) sdk.State {
	state := b.mustStart(b.request("w", n, script))
	if len(state) == 0 || state[0] != '{' || !json.Valid(state) {
		b.fatalf("Start answered a state that is not a JSON object: %.200q", []byte(state))
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

// stop stops the workload "w", after which nothing of it may be left.
func (b *fixture) stop() {
	b.noError("Stop", b.Stop(b.ctx, "w"))
	b.noneAlive("after Stop")
}

// pids answers the processes that announced themselves, and which are alive.
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
	}, func() string { return fmt.Sprintf("%d processes are alive, not %d", len(pids), n) })
}

// noneAlive fails at once when a process of a workload is alive, or another that
// was started for it.
func (b *fixture) noneAlive(when string) {
	if _, alive := b.pids(); len(alive) > 0 {
		b.errorf("%s: processes %v are alive", when, alive)
	} else if left := leftProcesses(b.secret); len(left) > 0 {
		b.errorf("%s: alive are %v", when, left)
	}
}

// holds tells whether a condition comes true in time.
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

// until waits for a condition, and ends the check when it does not come.
func (b *fixture) waitFor(f func() bool, otherwise func() string) {
	if !b.eventually(f) {
		b.fatalf("after %v %s", b.Patience, otherwise())
	}
}

// kill ends a process from outside and waits until it is gone. It may have gone with
// another: some MPIs end all ranks with one.
func (b *fixture) kill(pid int) {
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Kill()
	}
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		b.fatalf("kill pid %d: %v", pid, err)
	}
	b.waitFor(func() bool { return !isAlive(pid) }, func() string { return fmt.Sprintf("pid %d lives in spite of SIGKILL", pid) })
}

// sweep ends what a failed check left.
func (b *fixture) killLeft() {
	_, alive := b.pids()
	for _, pid := range alive {
		if p, err := os.FindProcess(pid); err == nil {
			_ = p.Kill() // it may have ended just now
		}
	}
}

// text answers what a workload wrote into a file of the folder, once it is there.
func (b *fixture) readFile(name string) string {
	var text []byte
	b.waitFor(func() bool {
		var err error
		text, err = os.ReadFile(filepath.Join(b.dir, name))
		return err == nil
	}, func() string { return "the workload has not written what it sees" })
	return string(text)
}

// events collects all events of "w" after a number, until the workload has ended.
func (b *fixture) events(c *sdk.Client, after uint64) []sdk.Event {
	ctx, cancel := context.WithTimeout(b.ctx, b.Patience)
	defer cancel()
	var all []sdk.Event
	if err := c.Events(ctx, "w", after, func(e sdk.Event) error { all = append(all, e); return nil }); err != nil {
		b.fatalf("Events after %s: %v", eventsText(all), err)
	}
	return all
}

// story collects and checks the whole story of "w", and answers its end.
func (b *fixture) eventLog(c *sdk.Client) sdk.Event {
	all := b.events(c, 0)
	b.checkEvents(all)
	return all[len(all)-1]
}

// told is a story in short.
func eventsText(events []sdk.Event) string {
	words := make([]string, len(events))
	for i, e := range events {
		words[i] = fmt.Sprintf("%d %s", e.Seq, e.Kind)
	}
	return "[" + strings.Join(words, ", ") + "]"
}

// wellFormed checks a whole story of events.
func (b *fixture) checkEvents(events []sdk.Event) {
	for i, e := range events {
		last := i == len(events)-1
		if e.Seq != uint64(i+1) || (e.Kind == sdk.EventRunning) != (i == 0) || (e.Kind == sdk.EventStopped) != last || e.ID != "w" {
			b.fatalf("event %d is out of order: %s", i+1, eventsText(events))
		}
		if len(e.Text) > 16<<10 {
			b.errorf("event %d has a text of %d bytes, the limit is 16 KiB", e.Seq, len(e.Text))
		}
	}
	if len(events) < 2 {
		b.fatalf("the story is %s; it has to begin with running and end with stopped", eventsText(events))
	}
}
