//go:build unix

package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/engine/worker/workertest"
	"github.com/ipcore/ipcore/core/sockets"
)

func TestRegistration(t *testing.T) {
	c := newController(t)
	id := 7
	o := c.options()
	o.ID = &id
	r := c.start(o)
	m := c.request("registration_request")
	if got, want := string(m.Content), `{"uuid": "`+engineUUID+`", "id": 7}`; got != want {
		t.Errorf("content %s, want %s", got, want)
	}
	if m.header.Session != engineUUID {
		t.Errorf("session %q", m.header.Session)
	}
	c.answerHub(m, `{"id": 9, "status": "ok", "hb_period": 3000}`)
	if m := take(t, c.published); m.topic != "engine.9.status" || string(m.Content) != `{"execution_state": "starting"}` ||
		string(m.Metadata) != `{"engine": "`+engineUUID+`"}` || string(m.Parent) != "{}" {
		t.Errorf("first publication: %v", m)
	}
	c.beat()
	r.stop()
	if m := c.request("unregistration_request"); string(m.Content) != `{"id": 9}` {
		t.Errorf("at the end: %v", m)
	}
	if err := r.ended(); err != nil || ExitCode(err) != 0 {
		t.Errorf("end: %v", err)
	}
}

func TestRegistrationFails(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		c := newController(t)
		r := c.start(c.options())
		c.answerHub(c.request("registration_request"), `{"status": "error", "ename": "KeyError", "evalue": "\"uuid in use\"", "traceback": [], "engine_info": {}}`)
		err := r.ended()
		if !errors.Is(err, ErrRegistration) || !strings.Contains(err.Error(), "uuid in use") || ExitCode(err) != 255 {
			t.Errorf("got %v", err)
		}
		if m := c.request("unregistration_request"); string(m.Content) != `{"id": null}` {
			t.Errorf("at the end: %v", m)
		}
	})
	t.Run("no answer", func(t *testing.T) {
		c := newController(t)
		o := c.options()
		o.Timeout = 50 * time.Millisecond
		r := c.start(o)
		c.request("registration_request")
		if err := r.ended(); !errors.Is(err, ErrRegistration) || ExitCode(err) != 255 {
			t.Errorf("got %v", err)
		}
		c.request("unregistration_request")
	})
	t.Run("no file", func(t *testing.T) {
		c := newController(t)
		o := c.options()
		o.Info, o.WaitForFile, o.File = "", 20*time.Millisecond, filepath.Join(t.TempDir(), "ipcontroller-engine.json")
		err := c.start(o).ended()
		if err == nil || !strings.Contains(err.Error(), o.File) || ExitCode(err) != 1 {
			t.Errorf("got %v", err)
		}
	})
}

// The file may be written after the engine has started.
func TestWaitForFile(t *testing.T) {
	c := newController(t)
	o := c.options()
	o.Info, o.File, o.WaitForFile = "", filepath.Join(t.TempDir(), "ipcontroller-engine.json"), patience
	c.start(o)
	if err := os.WriteFile(o.File, []byte(c.text()), 0o600); err != nil {
		t.Fatal(err)
	}
	c.admit(0)
}

func TestApply(t *testing.T) {
	c := newController(t)
	c.ready()
	large := strings.Repeat("0123456789", 1<<20)
	id := c.submit(c.task, "apply_request", `{"label": "a \"label\"", "retries": 2}`, "", "out hello", "one", large)
	m := c.reply(id)
	if m.header.MsgType != "apply_reply" || m.header.Session != engineUUID || m.idents != " client" {
		t.Errorf("reply: %v", m)
	}
	if len(m.Buffers) != 2 || string(m.Buffers[0]) != "one" || string(m.Buffers[1]) != large {
		t.Errorf("%d buffers, or others than were sent", len(m.Buffers))
	}
	started := regexp.MustCompile(`^{"started": "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", `)
	meta := string(m.Metadata)
	if !started.MatchString(meta) {
		t.Errorf("metadata: %s", meta)
	}
	want := `"dependencies_met": true, "engine": "` + engineUUID + `", "is_broadcast": false, "is_coalescing": false, ` +
		`"original_msg_id": "", "label": "a \"label\"", "status": "ok"}`
	if got := started.ReplaceAllString(meta, ""); got != want {
		t.Errorf("metadata\n%s, want\n%s", got, want)
	}
	if string(m.Content) != `{"status": "ok"}` {
		t.Errorf("content %s", m.Content)
	}
	if got, want := c.output(id), []string{"busy", `stream {"name": "stdout", "text": "hello\n"}`, "idle"}; !reflect.DeepEqual(got, want) {
		t.Errorf("published %q, want %q", got, want)
	}
}

func TestApplyError(t *testing.T) {
	c := newController(t)
	c.ready()
	id := c.submit(c.leaf, "apply_request", `{"is_broadcast": true, "is_coalescing": true, "original_msg_id": "first", "targets": [["u", 1]]}`, "", "fail badly")
	m := c.reply(id)
	info := `{"engine_uuid": "` + engineUUID + `", "engine_id": 3`
	if got, want := string(m.Content), `{"traceback": ["Traceback", "ValueError: badly"], "ename": "ValueError", "evalue": "badly", "engine_info": `+
		info+`, "method": "apply"}, "status": "error"}`; got != want {
		t.Errorf("content\n%s, want\n%s", got, want)
	}
	_, meta, _ := strings.Cut(string(m.Metadata), ", ")
	if want := `"dependencies_met": true, "engine": "` + engineUUID + `", "is_broadcast": true, "is_coalescing": true, ` +
		`"original_msg_id": "first", "label": null, "status": "error", "engine_info": ` + info + `}}`; meta != want {
		t.Errorf("metadata\n%s, want\n%s", meta, want)
	}
	if got, want := c.output(id), []string{"busy", `error {"traceback": ["Traceback", "ValueError: badly"], "ename": "ValueError", "evalue": "badly"}`, "idle"}; !reflect.DeepEqual(got, want) {
		t.Errorf("published %q, want %q", got, want)
	}
	if m := c.reply(c.apply("unmet")); !strings.Contains(string(m.Metadata), `"dependencies_met": false`) {
		t.Errorf("unmet dependency: %v", m)
	}
}

func TestExecute(t *testing.T) {
	c := newController(t)
	c.ready()
	ok := func(count int) string {
		return fmt.Sprintf(`{"status": "ok", "execution_count": %d, "user_expressions": {}, "payload": []}`, count)
	}
	id := c.execute("out \"one\"", "")
	if m := c.reply(id); string(m.Content) != ok(1) || m.header.MsgType != "execute_reply" {
		t.Errorf("reply: %v", m)
	}
	if got, want := c.output(id), []string{
		"busy", `execute_input {"code": "out \"one\"", "execution_count": 1}`,
		`stream {"name": "stdout", "text": "\"one\"\n"}`, "idle",
	}; !reflect.DeepEqual(got, want) {
		t.Errorf("published %q, want %q", got, want)
	}
	id = c.execute("out two", `"silent": true`)
	if m := c.reply(id); string(m.Content) != ok(1) {
		t.Errorf("silent: %v", m)
	}
	if got := strings.Join(c.output(id), " "); strings.Contains(got, "execute_input") {
		t.Errorf("silent: %s", got)
	}
	if m := c.reply(c.execute("", `"silent": false, "store_history": false`)); string(m.Content) != ok(1) {
		t.Errorf("without history: %v", m)
	}
	id = c.execute("fail no", "")
	if m := c.reply(id); string(m.Content) != `{"status": "error", "traceback": ["Traceback", "ValueError: no"], "ename": "ValueError", "evalue": "no", `+
		`"engine_info": {"engine_uuid": "`+engineUUID+`", "engine_id": 3, "method": "execute"}, "execution_count": 2, "user_expressions": {}, "payload": []}` {
		t.Errorf("error: %v", m)
	}
	// A message that is not an execute request gets no reply.
	bad := c.submit(c.mux, "execute_request", "", `{"code": "1"}`)
	odd := c.submit(c.mux, "nosuch_request", "", "")
	if m := c.reply(c.execute("", "")); string(m.Content) != ok(3) {
		t.Errorf("after the bad request: %v", m)
	}
	for _, id := range []string{bad, odd} {
		if got := strings.Join(c.output(id), " "); got != "busy idle" {
			t.Errorf("published for a bad request: %s", got)
		}
	}
}

// gate holds requests until it is opened.
type gate string

func newGate(t *testing.T) gate { return gate(filepath.Join(t.TempDir(), "gate")) }

func (g gate) script() string { return "file " + string(g) }

func (g gate) open(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(string(g), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func status(m *message) string {
	var c struct{ Status string }
	_ = json.Unmarshal(m.Content, &c)
	return c.Status
}

func TestAbort(t *testing.T) {
	c := newController(t)
	c.ready()
	g := newGate(t)
	running := c.apply(g.script())
	c.begun(running)
	a, b := c.apply(""), c.apply("")
	x, y := c.execute("", ""), c.execute("", "")
	broadcast := c.submit(c.leaf, "apply_request", `{"is_broadcast": true, "original_msg_id": "the original"}`, "", "")
	c.arrived(c.mux)
	c.arrived(c.leaf)
	later := fmt.Sprintf("request-%d", c.number+2)
	abort := c.submit(c.control, "abort_request", "", fmt.Sprintf(`{"msg_ids": [%q, %q, %q, "the original"]}`, b, running, later))
	seen := make(map[string]string)
	collect := func(ids ...string) {
		t.Helper()
		for id, m := range c.repliesTo(ids...) {
			seen[id] = status(m)
		}
	}
	collect(abort, b, broadcast)
	if late := c.apply(""); late != later {
		t.Fatalf("%s is not %s", late, later)
	}
	collect(later)
	all := c.submit(c.control, "abort_request", "", `{"msg_ids": null}`)
	collect(all, x, y)
	g.open(t)
	collect(running, a)
	want := map[string]string{
		abort: "ok", all: "ok", running: "ok", a: "ok",
		b: "aborted", broadcast: "aborted", later: "aborted", x: "aborted", y: "aborted",
	}
	if !reflect.DeepEqual(seen, want) {
		t.Errorf("got %v, want %v", seen, want)
	}
}

// A failed execute aborts the executes queued after it, but not the applies.
func TestStopOnError(t *testing.T) {
	c := newController(t)
	c.ready()
	g := newGate(t)
	bad := c.execute(g.script()+"\nfail", "")
	x, a := c.execute("", ""), c.apply("")
	g.open(t)
	for _, want := range []struct{ id, status string }{{bad, "error"}, {x, "aborted"}, {a, "ok"}} {
		if m := c.reply(want.id); status(m) != want.status {
			t.Errorf("%s: %v, want %s", want.id, m, want.status)
		}
	}
	g = newGate(t)
	bad = c.execute(g.script()+"\nfail", `"silent": false, "stop_on_error": false`)
	x = c.execute("", "")
	g.open(t)
	c.reply(bad)
	if m := c.reply(x); status(m) != "ok" {
		t.Errorf("without stop_on_error: %v", m)
	}
}

func TestClear(t *testing.T) {
	c := newController(t)
	o := c.options()
	o.StartupCommand = "out started"
	c.start(o)
	c.admit(3)
	if m := c.publication("stream"); string(m.Content) != `{"name": "stdout", "text": "started\n"}` || string(m.Parent) != "{}" {
		t.Errorf("startup: %v", m)
	}
	g := newGate(t)
	running := c.apply(g.script())
	c.begun(running)
	a := c.apply("cells")
	c.arrived(c.mux)
	clear := c.submit(c.control, "clear_request", "", "{}")
	c.arrived(c.control)
	g.open(t)
	got := c.repliesTo(running, clear, a)
	if m := got[clear]; m.header.MsgType != "clear_reply" || string(m.Content) != `{"status": "ok"}` {
		t.Errorf("clear: %v", m)
	}
	// One cell has run since: the startup command.
	if m := got[a]; string(m.Buffers[0]) != "1" {
		t.Errorf("cells after clear: %s", m.Buffers[0])
	}
}

func TestSignal(t *testing.T) {
	c := newController(t)
	o := c.options()
	interrupts := make(chan os.Signal)
	o.Interrupts = interrupts
	r := c.start(o)
	c.admit(3)
	for name, interrupt := range map[string]func() string{
		"signal_request by name":   func() string { return c.submit(c.control, "signal_request", "", `{"sig": "SIGINT"}`) },
		"signal_request by number": func() string { return c.submit(c.control, "signal_request", "", `{"sig": 2}`) },
		"interrupt_request":        func() string { return c.submit(c.control, "interrupt_request", "", `{}`) },
		"of the process":           func() string { interrupts <- os.Interrupt; return "" },
	} {
		if id := interrupt(); id != "" { // has no effect now
			c.reply(id)
		}
		ids := []string{c.apply("out in\nwait")}
		for c.publication("stream").parent.MsgID != ids[0] {
		}
		if control := interrupt(); control != "" {
			ids = append(ids, control)
		}
		got := c.repliesTo(ids...)
		if !strings.Contains(string(got[ids[0]].Content), "KeyboardInterrupt") {
			t.Errorf("%s: %v", name, got)
		}
	}
	for content, want := range map[string]string{
		`{"sig": "SIGNO"}`: "AttributeError", `{"sig": 999}`: "ValueError", `{"sig": null}`: "TypeError", `{}`: "TypeError", `{"sig": [1]}`: "TypeError", `{"sig": 0}`: `"ok"`,
	} {
		if m := c.reply(c.submit(c.control, "signal_request", "", content)); m.header.MsgType != "signal_reply" || !strings.Contains(string(m.Content), want) {
			t.Errorf("%s: %v", content, m)
		}
	}
	c.submit(c.control, "signal_request", "", `{"sig": "SIGTERM"}`)
	if err := r.ended(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	c.request("unregistration_request")
}

func TestWorkerDies(t *testing.T) {
	c := newController(t)
	c.ready()
	first := string(c.reply(c.apply("pid")).Buffers[0])
	g := newGate(t)
	id := c.apply(g.script() + "\nout last words\nkill 11")
	behind := c.apply("pid")
	g.open(t)
	m := c.reply(id)
	if got := string(m.Content); status(m) != "error" || !strings.Contains(got, `"ename": "EngineError"`) ||
		!strings.Contains(got, "exited with status 2") && !strings.Contains(got, "signal 11 (SIGSEGV)") || !strings.Contains(got, "Fatal Python error") {
		t.Errorf("reply: %v", m)
	}
	output := strings.Join(c.output(id), "\n")
	if !strings.Contains(output, "last words") || !strings.Contains(output, "A new one is starting") {
		t.Errorf("published: %s", output)
	}
	if second := string(c.reply(behind).Buffers[0]); second == first || second == "" {
		t.Errorf("workers %s and %s", first, second)
	}
	// The same without a running request.
	pid := 0
	if _, err := fmt.Sscan(string(c.reply(c.apply("pid")).Buffers[0]), &pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if m := c.publication("stream"); !strings.Contains(string(m.Content), "signal 9 (SIGKILL)") {
		t.Errorf("published: %v", m)
	}
	if m := c.reply(c.apply("")); status(m) != "ok" {
		t.Errorf("after a death while idle: %v", m)
	}
	if m := c.reply(c.apply("wrong")); !strings.Contains(string(m.Content), "replied to a request that it was not sent") {
		t.Errorf("after a wrong reply: %v", m)
	}
}

func TestWorkerDoesNotStart(t *testing.T) {
	c := newController(t)
	o := c.options()
	o.command = workertest.Command("mute")
	err := c.start(o).ended()
	if !errors.Is(err, ErrWorker) || ExitCode(err) != 1 || !strings.Contains(err.Error(), "no module named anything") ||
		!strings.Contains(err.Error(), "exited with status 3") {
		t.Errorf("got %v", err)
	}
	// An engine without a worker does not wait for a controller either.
	o.Info, o.WaitForFile, o.File = "", time.Hour, filepath.Join(t.TempDir(), "ipcontroller-engine.json")
	o.command = []string{"/does/not/exist"}
	if err := c.start(o).ended(); !errors.Is(err, ErrWorker) || !strings.Contains(err.Error(), "/does/not/exist") {
		t.Errorf("got %v", err)
	}
}

// Startup code that kills every worker ends the engine; waiting requests get an error.
func TestStartupKills(t *testing.T) {
	c := newController(t)
	o := c.options()
	g := newGate(t)
	o.StartupCommand = g.script() + "\nerr no way\nexit 5"
	r := c.start(o)
	c.admit(3)
	id := c.apply("")
	g.open(t)
	if m := c.reply(id); !strings.Contains(string(m.Content), "no way") || !strings.Contains(string(m.Content), "EngineError") {
		t.Errorf("reply: %v", m)
	}
	if err := r.ended(); !errors.Is(err, ErrWorker) || !strings.Contains(err.Error(), "3 times in a row") {
		t.Errorf("got %v", err)
	}
}

func TestShutdown(t *testing.T) {
	c := newController(t)
	r := c.ready()
	c.apply("wait") // the request does not keep the engine alive
	id := c.submit(c.control, "shutdown_request", "", `{"restart": false}`)
	if m := c.reply(id); m.header.MsgType != "shutdown_reply" || string(m.Content) != `{"status": "ok", "restart": false}` {
		t.Errorf("reply: %v", m)
	}
	if m := c.publication("shutdown_reply"); m.topic != "engine.3.shutdown" || m.header.Session != engineUUID || string(m.Metadata) != "{}" {
		t.Errorf("published: %v", m)
	}
	if err := r.ended(); err != nil {
		t.Errorf("end: %v", err)
	}
}

func TestJupyterRequests(t *testing.T) {
	c := newController(t)
	c.ready()
	if m := c.reply(c.submit(c.mux, "complete_request", "", `{"code": "a"}`)); m.header.MsgType != "complete_reply" || !strings.Contains(string(m.Content), "complete_request") {
		t.Errorf("complete: %v", m)
	}
	c.submit(c.mux, "comm_open", "", `{}`)
	var info struct {
		Status          string
		ProtocolVersion string                   `json:"protocol_version"`
		LanguageInfo    struct{ Version string } `json:"language_info"`
	}
	m := c.reply(c.submit(c.mux, "kernel_info_request", "", `{}`))
	if err := json.Unmarshal(m.Content, &info); err != nil || info.Status != "ok" || info.ProtocolVersion != "5.3" || info.LanguageInfo.Version != "3.11.2" {
		t.Errorf("kernel_info: %v (%v)", m, err)
	}
}

func TestDisplay(t *testing.T) {
	c := newController(t)
	c.ready()
	id := c.apply("out before\nshow picture")
	c.reply(id)
	if got, want := c.output(id), []string{
		"busy", `stream {"name": "stdout", "text": "before\n"}`,
		`display_data {"data": {"text/plain": "picture"}, "metadata": {}}`, "idle",
	}; !reflect.DeepEqual(got, want) {
		t.Errorf("published %q, want %q", got, want)
	}
}

func TestQueueIsBounded(t *testing.T) {
	c := newController(t)
	o := c.options()
	o.QueueLength, o.QueueBytes = 2, 1<<20
	c.start(o)
	c.admit(3)
	g := newGate(t)
	running := c.apply(g.script())
	c.begun(running)
	large := c.apply("", strings.Repeat("x", 2<<20))
	if m := c.reply(large); !strings.Contains(string(m.Content), "queue is full") {
		t.Errorf("large: %v", m)
	}
	a, b, third := c.apply(""), c.apply(""), c.apply("")
	if m := c.reply(third); !strings.Contains(string(m.Content), "queue is full") {
		t.Errorf("third: %v", m)
	}
	g.open(t)
	for _, id := range []string{running, a, b} {
		if m := c.reply(id); status(m) != "ok" {
			t.Errorf("%s: %v", id, m)
		}
	}
}

// A reply from while the controller was disconnected is sent when it is back.
func TestReplyAfterReconnect(t *testing.T) {
	c := newController(t)
	l := newLink([]byte(engineUUID), nil, hclog.NewNullLogger(), func(string, [][]byte) {}, func() {})
	t.Cleanup(func() { _ = l.close(0) })
	endpoint := c.info.URL(c.info.Mux)
	if err := l.socket.Dial(endpoint); err != nil {
		t.Fatal(err)
	}
	until := func(n int) {
		t.Helper()
		for deadline := time.Now().Add(patience); l.up() != n; runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatalf("%d connections, want %d", l.up(), n)
			}
		}
	}
	until(1)
	if err := c.mux.Close(0); err != nil {
		t.Fatal(err)
	}
	until(0)
	large := strings.Repeat("x", sockets.LargeFrame)
	for i := range 3 {
		m, err := c.session.Message("apply_reply", nil, nil, json.RawMessage(fmt.Sprintf(`{"n": %d}`, i)), []byte(large))
		if err != nil {
			t.Fatal(err)
		}
		l.send(endpoint, m.AppendFrames(nil))
	}
	c.mux = c.listen(sockets.Router, "mux_out", &c.info.Mux, c.replies)
	for i := range 3 {
		if m := take(t, c.replies); string(m.Content) != fmt.Sprintf(`{"n": %d}`, i) || len(m.Buffers[0]) != len(large) {
			t.Errorf("reply %d: %v", i, m)
		}
	}
}

func TestHeartbeatLimit(t *testing.T) {
	c := newController(t)
	o := c.options()
	o.MaxHeartbeatMisses = 1
	r := c.start(o)
	c.answerHub(c.request("registration_request"), `{"id": 0, "status": "ok", "hb_period": 1}`)
	c.beat()
	if err := r.ended(); !errors.Is(err, ErrControllerGone) || ExitCode(err) != 1 {
		t.Errorf("got %v", err)
	}
	if m := c.request("unregistration_request"); string(m.Content) != `{"id": 0}` {
		t.Errorf("at the end: %v", m)
	}
}

// Messages without a valid signature, or that were seen before, never reach the worker.
func TestForgedRequests(t *testing.T) {
	c := newController(t)
	c.ready()
	h := c.session.NewHeader("apply_request")
	m, err := c.session.MessageWith(h, nil, nil, nil, []byte("out forged"))
	if err != nil {
		t.Fatal(err)
	}
	m.Idents = [][]byte{[]byte("client")}
	frames := m.AppendFrames(nil)
	send := func() {
		if err := c.mux.SendTo([]byte(engineUUID), frames...); err != nil {
			t.Fatal(err)
		}
	}
	send()
	c.reply(h.MsgID)
	send() // again
	frames[2] = []byte(strings.Repeat("0", 64))
	send()
	frames[2] = nil
	send()
	if err := c.mux.SendTo([]byte(engineUUID), []byte("nonsense")); err != nil {
		t.Fatal(err)
	}
	c.reply(c.apply("")) // and no second reply
}
