//go:build unix

package exec

import (
	"context"
	"errors"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/plugintest"
)

// TestConformance runs the kit on examples/mine-shell.
func TestConformance(t *testing.T) {
	if err := osexec.Command("setsid", "env", "--default-signal=INT", "ps", "-o", "lstart=", "-p", "1").Run(); err != nil {
		t.Skip("examples/mine-shell needs setsid, ps and GNU env (Debian: apt-get install util-linux procps coreutils)")
	}
	s, err := Open(filepath.Join("..", "..", "examples", "mine-shell", "ipcore-launcher-mine-shell"))
	if err != nil {
		t.Fatal(err)
	}
	plugintest.Run(t, plugintest.Config{Info: s.Info, New: s.New})
}

// script writes a launcher whose verbs are the cases of a shell's case.
func script(t *testing.T, cases string) *Script {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ipcore-launcher-x")
	text := "#!/bin/sh\ncase $1 in\n" + cases + "\ndescribe) echo '{\"name\": \"x\", \"version\": \"1\", \"kinds\": [\"engine\"], \"protocol\": [1], \"speaks\": \"verbs\"," +
		" \"optional\": [\"status\", \"signal\", \"output\"], \"options\": [{\"name\": \"queue\", \"type\": \"string\", \"help\": \"h\"}], \"poll\": 0.05}';;\n" +
		"*) exit 69;;\nesac\n"
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func launcher(s *Script) (*Launcher, chan sdk.Change) {
	changes := make(chan sdk.Change, 10)
	l := s.New(sdk.Engine, sdk.Host{ID: "w", Log: hclog.NewNullLogger(), Changed: func(c sdk.Change) { changes <- c }})
	return l.(*Launcher), changes
}

func wanted(t *testing.T) sdk.StartRequest {
	t.Helper()
	return sdk.StartRequest{ID: "w", N: new(2), LogDir: t.TempDir(), Command: []string{"true"}}
}

func TestExitCodesMeanErrors(t *testing.T) {
	for cases, want := range map[string]error{
		"start) exit 3;;":                          sdk.ErrNotRunning,
		"start) echo no such queue >&2; exit 64;;": sdk.ErrBadOption,
		"start) exit 75;;":                         sdk.ErrUnknownStatus,
		"status) :;;":                              sdk.ErrUnsupported, // start itself is not there
	} {
		l, _ := launcher(script(t, cases))
		err := l.Start(t.Context(), wanted(t))
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", cases, err, want)
		}
		if strings.Contains(cases, "queue") && !strings.Contains(err.Error(), "no such queue") {
			t.Errorf("%s: %v does not say why", cases, err)
		}
	}
}

func TestAnswersThatCantBeRead(t *testing.T) {
	for _, cases := range []string{
		"start) ;;", "start) echo hello;;", "start) echo '{}';;", "start) echo '{\"state\": null}';;", "start) exit 1;;",
		"start) head -c 3000000 /dev/zero;;",
	} {
		l, _ := launcher(script(t, cases))
		err := l.Start(t.Context(), wanted(t))
		if err == nil {
			t.Errorf("%s: Start succeeded", cases)
		}
		if strings.Contains(cases, "3000000") && !strings.Contains(err.Error(), "printed more than") {
			t.Errorf("%s: %v", cases, err)
		}
	}
	for _, cases := range []string{"status) ;;", "status) echo '{}';;", "status) echo hello;;", "status) exit 1;;", "status) exit 75;;"} {
		l, changes := launcher(script(t, "start) echo '{\"state\": 17}';;\n"+cases))
		if err := l.Start(t.Context(), wanted(t)); err != nil {
			t.Fatal(err)
		}
		state, err := l.ToDict(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		again, _ := launcher(l.script)
		if err := again.FromDict(t.Context(), state); err == nil || errors.Is(err, sdk.ErrNotRunning) {
			t.Errorf("%s: FromDict: %v", cases, err)
		}
		// It is told once that the end can't be seen.
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { _, err := l.Wait(ctx); done <- err }()
		if c := <-changes; !strings.Contains(c.Text, "3 times in a row") {
			t.Errorf("%s: told %+v", cases, c)
		}
		cancel()
		<-done
	}
}

// A verb sees the same in its environment and on stdin, and the state comes back
// as start printed it.
func TestWhatAVerbSees(t *testing.T) {
	dir := t.TempDir()
	s := script(t, `start) cat >`+dir+`/stdin; env >`+dir+`/env; echo '{"state": "job 17"}';;
		status) [ "$IPCORE_STATE" = "job 17" ] && echo '{"running": true, "n": 1, "pending": true, "text": "Priority"}';;
		signal) echo "$2" >`+dir+`/signal;;
		output) echo "removed: $IPCORE_REMOVE";;`)
	l, _ := launcher(s)
	r := wanted(t)
	r.ClusterID, r.Options, r.Env = "c", []byte(`{"queue": "debug"}`), map[string]string{"WORD": "a b"}
	if err := l.Start(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	env, err := os.ReadFile(filepath.Join(dir, "env"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"IPCORE_ID=w", "IPCORE_KIND=engine", "IPCORE_N=2", "IPCORE_CLUSTER_ID=c", "IPCORE_OPTION_QUEUE=debug", "WORD=a b",
		"IPCORE_OUTPUT=" + r.LogDir + "/x-c-w.log"} {
		if !strings.Contains("\n"+string(env), "\n"+line+"\n") {
			t.Errorf("%s is not in the environment", line)
		}
	}
	stdin, err := os.ReadFile(filepath.Join(dir, "stdin"))
	if err != nil || !strings.Contains(string(stdin), `"environment":{"WORD":"a b"}`) || !strings.Contains(string(stdin), `"verb":"start"`) {
		t.Errorf("stdin is %s, %v", stdin, err)
	}
	st, err := l.Status(t.Context())
	if err != nil || st.State != sdk.StatusPending || *st.Running != 1 || *st.Total != 2 || st.Text != "Priority" {
		t.Errorf("status %+v, %v", st, err)
	}
	if err := l.Signal(t.Context(), "SIGTERM"); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "signal")); err != nil || string(got) != "15\n" {
		t.Errorf("signal %q, %v", got, err)
	}
	if text, err := l.Output(t.Context(), true); err != nil || text != "removed: 1\n" {
		t.Errorf("output %q, %v", text, err)
	}
}

// Start goes to its end when its caller gives up, and then what it started is
// stopped.
func TestStartCutShort(t *testing.T) {
	dir := t.TempDir()
	s := script(t, `start) : >`+dir+`/begun; while [ ! -e `+dir+`/go ]; do sleep 0.02; done; : >`+dir+`/up; echo '{"state": 1}';;
		stop) rm `+dir+`/up;;
		status) [ -e `+dir+`/up ] && echo '{"running": true}' || exit 3;;`)
	ctx, cancel := context.WithCancel(t.Context())
	l, _ := launcher(s)
	done := make(chan error)
	go func() { done <- l.Start(ctx, wanted(t)) }()
	for {
		if _, err := os.Stat(filepath.Join(dir, "begun")); err == nil {
			break
		}
	}
	cancel()
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Start: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "up")); err == nil {
		t.Error("what was started is still there")
	}
}

func TestScriptsThatAreNone(t *testing.T) {
	for text, want := range map[string]string{
		"#!/bin/sh\nexit 1\n":      "ended with code 1",
		"#!/bin/sh\necho hello\n":  "not valid JSON",
		"#!/nonexistent/program\n": "no such file",
		"#!/bin/sh\necho '{\"name\": \"x\", \"version\": \"1\", \"kinds\": [\"engine\"], \"protocol\": [1]}'\n": `speaks "grpc"`,
	} {
		path := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
