//go:build unix

package worker

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/engine/worker/workertest"
)

func TestMain(m *testing.M) {
	workertest.Main()
	os.Exit(m.Run())
}

// recorder is a handler that records its calls in order.
type recorder struct {
	t       testing.TB
	p       *Process
	ready   chan struct{}
	replies chan Reply
	exit    chan Exit

	mu     sync.Mutex
	events []string
	text   [2]bytes.Buffer
}

func start(t testing.TB, mode string) *recorder {
	t.Helper()
	r := &recorder{
		t: t, ready: make(chan struct{}),
		replies: make(chan Reply, 1), exit: make(chan Exit, 1),
	}
	p, err := Start(Options{Command: workertest.Command(mode), Handler: r})
	if err != nil {
		t.Fatal(err)
	}
	r.p = p
	t.Cleanup(func() { p.Stop(0) })
	if err := p.Hello([]byte(`{"engine_id": 0}`)); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *recorder) note(event string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event)
}

func (r *recorder) take(p *Process, drain bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p.TakeOutput(drain, func(s Stream, text []byte) {
		r.events = append(r.events, s.String())
		r.text[s].Write(text)
	})
}

func (r *recorder) Ready(*Process, []byte) { close(r.ready) }

func (r *recorder) Output(p *Process) { r.take(p, false) }

func (r *recorder) Reply(p *Process, reply Reply) {
	r.take(p, true)
	r.note("reply")
	r.replies <- reply
}

func (r *recorder) Display(p *Process, d Display) {
	r.take(p, true)
	r.note("display " + string(d.Content))
}

func (r *recorder) Exited(p *Process, e Exit) {
	r.take(p, true)
	r.note("exit")
	r.exit <- e
}

func (r *recorder) output(s Stream) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text[s].String()
}

func (r *recorder) apply(script string, buffers ...[]byte) {
	r.t.Helper()
	if err := r.p.Apply("id", 1, append([][]byte{[]byte(script)}, buffers...)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *recorder) reply() Reply {
	r.t.Helper()
	select {
	case reply := <-r.replies:
		return reply
	case e := <-r.exit:
		r.t.Fatalf("no reply: the worker %v; output: %s", e, e.Tail)
	case <-time.After(20 * time.Second):
		r.t.Fatal("no reply")
	}
	panic("unreachable")
}

func (r *recorder) exited() Exit {
	r.t.Helper()
	select {
	case e := <-r.exit:
		return e
	case <-time.After(20 * time.Second):
		r.t.Fatal("the worker did not end")
	}
	panic("unreachable")
}

func TestRequests(t *testing.T) {
	r := start(t, "")
	small, large := []byte("small"), bytes.Repeat([]byte("0123456789"), 1<<20)
	r.apply("", small, large, nil)
	got := r.reply()
	if !got.OK || string(got.MsgID) != "id" || len(got.Parts) != 3 {
		t.Fatalf("reply: ok %v, id %q, %d parts", got.OK, got.MsgID, len(got.Parts))
	}
	for i, want := range [][]byte{small, large, nil} {
		if !bytes.Equal(got.Parts[i], want) {
			t.Errorf("part %d came back different (%d bytes, want %d)", i, len(got.Parts[i]), len(want))
		}
	}
	r.apply("fail badly")
	if got := r.reply(); got.OK || string(got.Ename) != "ValueError" || string(got.Evalue) != "badly" ||
		string(got.Traceback) != "Traceback\x00ValueError: badly" {
		t.Errorf("error reply: %+v", got)
	}
	r.apply("unmet")
	if got := r.reply(); string(got.Flags) != `{"dependencies_met": false}` {
		t.Errorf("flags: %q", got.Flags)
	}
	if err := r.p.Jupyter("id", "complete_request", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if got := r.reply(); !strings.Contains(string(got.Parts[0]), "complete_request") {
		t.Errorf("jupyter reply: %q", got.Parts)
	}
	r.p.Stop(10 * time.Second)
	if e := r.exited(); e.Cause != nil || e.Code != 0 || !e.Ready {
		t.Errorf("exit after quit: %+v", e)
	}
	if err := r.p.Clear("id"); !errors.Is(err, ErrExited) {
		t.Errorf("request after the end: %v", err)
	}
}

// Output arrives before the display or the reply that follows it.
func TestOutputOrder(t *testing.T) {
	r := start(t, "")
	for range 50 {
		r.mu.Lock()
		r.events = nil
		r.text[Stdout].Reset()
		r.mu.Unlock()
		r.apply("out before\nshow picture")
		r.reply()
		r.mu.Lock()
		got, text := strings.Join(r.events, "; "), r.text[Stdout].String()
		r.mu.Unlock()
		want := `stdout; display {"data": {"text/plain": "picture"}, "metadata": {}}; reply`
		if got != want || text != "before\n" {
			t.Fatalf("events %s, text %q", got, text)
		}
	}
}

// Output without a reply appears after a short time.
func TestOutputWhileRunning(t *testing.T) {
	r := start(t, "")
	r.apply("out early\nwait")
	deadline := time.Now().Add(10 * time.Second)
	for r.output(Stdout) != "early\n" {
		if time.Now().After(deadline) {
			t.Fatalf("output while running: %q", r.output(Stdout))
		}
		runtime.Gosched()
	}
	if err := r.p.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if got := r.reply(); string(got.Ename) != "KeyboardInterrupt" {
		t.Errorf("after the interrupt: %+v", got)
	}
}

// A worker that floods its outputs before it reads a large request, and a large reply
// after a flood, do not deadlock.
func TestFlood(t *testing.T) {
	r := start(t, "")
	const n = 8 << 20
	large := make([]byte, 32<<20)
	r.apply(fmt.Sprintf("flood %d", n), large)
	if got := r.reply(); len(got.Parts) != 1 || len(got.Parts[0]) != len(large) {
		t.Error("the large part did not come back")
	}
	for _, s := range []Stream{Stdout, Stderr} {
		if got := len(r.output(s)); got != n {
			t.Errorf("%v: %d bytes of %d", s, got, n)
		}
	}
}

// A character is not split, and bytes that are not UTF-8 are not held back.
func TestWholeCharacters(t *testing.T) {
	r := start(t, "")
	r.apply("bytes e282")
	r.reply()
	if got := r.output(Stdout); got != "" {
		t.Errorf("half a character arrived: %q", got)
	}
	r.apply("bytes acff41")
	r.reply()
	if got := r.output(Stdout); got != "€\xffA" {
		t.Errorf("got %q", got)
	}
	r.apply("bytes e2")
	r.reply()
	r.p.Stop(10 * time.Second)
	if got := r.output(Stdout); got != "€\xffA\xe2" {
		t.Errorf("at the end: %q", got)
	}
}

// The more a request writes, the larger the pieces, because a client copies all of its
// text for each piece.
func TestOutputBatches(t *testing.T) {
	r := start(t, "")
	r.apply("flood 33554432")
	r.reply()
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.events); n > 400 {
		t.Errorf("64 MiB of output in %d pieces", n)
	}
}

func TestDeath(t *testing.T) {
	for _, c := range []struct {
		script, want, tail string
		signal             syscall.Signal
	}{
		{"out last words\nexit 7", "exited with status 7", "last words", 0},
		{"exit 0", "exited with status 0", "", 0},
		{"kill 9", "was killed by signal 9 (SIGKILL)", "", syscall.SIGKILL},
		{"kill 15", "was killed by signal 15 (SIGTERM)", "", syscall.SIGTERM},
		{"garbage", "the worker's channel has data that is not a frame (kind 0x70)", "", syscall.SIGKILL},
		{"close", "lost its channel to the engine (was its file descriptor closed?)", "", syscall.SIGKILL},
	} {
		t.Run(c.script, func(t *testing.T) {
			t.Parallel()
			r := start(t, "")
			r.apply(c.script)
			e := r.exited()
			if e.String() != c.want || e.Signal != c.signal || e.Tail != c.tail || e.Stopped {
				t.Errorf("got %v (%+v), want %s", e, e, c.want)
			}
			if want := strings.HasPrefix(c.script, "kill"); strings.Contains(e.Stack, "Fatal Python error") != want {
				t.Errorf("stack: %q", e.Stack)
			}
		})
	}
}

// A worker that dies while a large request is written to it does not block the writer.
func TestDeathWhileWriting(t *testing.T) {
	r := start(t, "")
	<-r.ready
	if err := r.p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	r.apply("", make([]byte, 16<<20)) // more than the socket takes
	if err := r.p.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if e := r.exited(); e.Signal != syscall.SIGKILL || e.Cause != nil {
		t.Errorf("exit: %+v", e)
	}
}

func TestDeathAtStart(t *testing.T) {
	r := start(t, "mute")
	if e := r.exited(); e.Ready || e.Code != 3 || e.Tail != "no module named anything" {
		t.Errorf("exit: %+v", e)
	}
	_, err := Start(Options{Command: []string{"/does/not/exist"}, Handler: r})
	if err == nil || !strings.Contains(err.Error(), "/does/not/exist") {
		t.Errorf("start of nothing: %v", err)
	}
}

// A worker that ignores the request to quit is killed after the grace period.
func TestStopBusy(t *testing.T) {
	r := start(t, "")
	<-r.ready
	r.apply("wait")
	r.p.Stop(20 * time.Millisecond)
	if e := r.exited(); !e.Stopped || e.Signal != syscall.SIGKILL {
		t.Errorf("exit: %+v", e)
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	for _, size := range []int{16, 1 << 20, 100 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			r := start(b, "")
			<-r.ready
			buf := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				r.apply("", buf)
				<-r.replies
				r.events = nil
			}
		})
	}
}
