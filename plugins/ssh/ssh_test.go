//go:build unix

package ssh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

const patience = 60 * time.Second

// until waits for a condition.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for limit := time.Now().Add(patience); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// bed is one launcher over the ssh of the tests.
type bed struct {
	*testing.T
	*Launcher
	dir     string // of the hosts' homes
	options []byte
	changes chan sdk.Change
}

func newBed(t *testing.T, kind sdk.Kind, more map[string]any) *bed {
	t.Helper()
	b := &bed{T: t, changes: make(chan sdk.Change, 100)}
	b.options, b.dir = fake(t, more)
	b.Launcher = b.fresh(kind)
	return b
}

func (b *bed) fresh(kind sdk.Kind) *Launcher {
	l := newLauncher(kind, sdk.Host{Log: hclog.NewNullLogger(), Changed: func(c sdk.Change) { b.changes <- c }}, false)
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = l.Stop(ctx) // ended already in good cases
		if err := l.Close(); err != nil {
			b.Error(err)
		}
	})
	return l
}

func (b *bed) request(n int, script string) sdk.StartRequest {
	b.Helper()
	r := sdk.StartRequest{
		ID: "set", ProfileDir: filepath.Join(b.dir, "profile"), ClusterID: "c",
		Command: []string{"/bin/sh", "-c", script}, Options: b.options,
		Env: map[string]string{"FAKE_SSH_DIR": b.dir},
	}
	if n > 0 {
		r.N = &n
	}
	return r
}

func (b *bed) start(n int, script string) {
	b.Helper()
	if err := b.Start(b.Context(), b.request(n, script)); err != nil {
		b.Fatal(err)
	}
}

// alive returns the running processes of this test.
func (b *bed) alive() []process.EnvMatch {
	b.Helper()
	found, err := process.FindByEnv("FAKE_SSH_DIR", func(v string) bool { return v == b.dir })
	if errors.Is(err, sdk.ErrUnsupported) {
		b.Skip(err)
	}
	if err != nil {
		b.Fatal(err)
	}
	var out []process.EnvMatch
	for _, m := range found {
		if m.Environ[jobVariable] != "" {
			out = append(out, m)
		}
	}
	return out
}

const threeHosts = `{"h1": 2, "h2": 1, "h3": 1}`

func three() map[string]any { return map[string]any{"engines": json.RawMessage(threeHosts)} }

// A host that is down at the start is named, with ssh's own words, and nothing is
// left on the others.
func TestHostDown(t *testing.T) {
	for name, c := range map[string]struct{ hosts, want string }{
		"down":   {`{"h1": 2, "down9": 1, "h3": 1}`, "down9: can't be reached over ssh: ssh: connect to host down9 port 22: Connection refused (does sshd run"},
		"denied": {`{"h1": 1, "me@deny:44": 1}`, "me@deny:44: can't be reached over ssh: deny: Permission denied (publickey). (ssh has to get in without a question: load a key into an agent (ssh-add), and try `ssh deny true`)"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, sdk.Engine, map[string]any{"engines": json.RawMessage(c.hosts)})
			err := b.Start(t.Context(), b.request(0, "exec sleep 300"))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
			if left := b.alive(); len(left) > 0 {
				t.Errorf("left: %+v", left)
			}
		})
	}
}

// A host that accepts and says nothing costs no more than the limit.
func TestHostHangs(t *testing.T) {
	usual := callLimit
	t.Cleanup(func() { callLimit = usual }) // after the launcher's end
	callLimit = 100 * time.Millisecond
	b := newBed(t, sdk.SingleEngine, map[string]any{"hostname": "hung", "connect_timeout": 0.1})
	err := b.Start(t.Context(), b.request(0, "exec sleep 300"))
	if !unreachable(err) || !strings.Contains(err.Error(), "no answer in time") {
		t.Errorf("got %v", err)
	}
}

// While a host can't be reached its processes count as running; an end is told when
// it responds again, and never before.
func TestOutage(t *testing.T) {
	b := newBed(t, sdk.Engine, three())
	b.start(0, `echo $$ >"$FAKE_SSH_DIR/pid.$(basename "$HOME").$$"; exec sleep 300`)
	until(t, "all run", func() bool { return len(b.glob("pid.*")) == 4 })
	state, err := b.ToDict(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	down := filepath.Join(b.dir, "down.h2")
	b.write(down)
	if c := <-b.changes; c.Index != -1 || !strings.Contains(c.Text, "h2: can't be reached over ssh") {
		t.Errorf("told %+v", c)
	}
	st, err := b.Status(t.Context())
	if err != nil || st.State != sdk.StatusRunning || st.Running != nil || *st.Total != 4 || !strings.Contains(st.Text, "h2") {
		t.Errorf("status %+v, %v", st, err)
	}
	// Another plugin process: some are certainly there.
	again := b.fresh(sdk.Engine)
	if err := again.FromDict(t.Context(), state); err != nil {
		t.Errorf("FromDict with one host of three away: %v", err)
	}
	for _, host := range []string{"h1", "h3"} {
		b.write(filepath.Join(b.dir, "down."+host))
	}
	if err := b.fresh(sdk.Engine).FromDict(t.Context(), state); !errors.Is(err, sdk.ErrUnknownStatus) || errors.Is(err, sdk.ErrNotRunning) {
		t.Errorf("FromDict with all hosts away: %v", err)
	}
	if err := b.Launcher.Stop(t.Context()); err == nil || !strings.Contains(err.Error(), "processes may still run there") {
		t.Errorf("Stop with all hosts away: %v", err)
	}
	b.setStopping(false)
	until(t, "the outage is known", func() bool {
		_, err := b.Status(t.Context())
		return errors.Is(err, sdk.ErrUnknownStatus)
	})
	b.kill(b.glob("pid.h2.*")[0])
	for _, host := range []string{"h1", "h2", "h3"} {
		if err := os.Remove(filepath.Join(b.dir, "down."+host)); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the end is told", func() bool {
		_, _ = b.Status(t.Context()) // has the hosts looked at now
		select {
		case c := <-b.changes:
			if c.Index != -1 && (c.Index != 2 || c.Exit.Signal != "SIGKILL") {
				t.Errorf("told %+v", c)
			}
			return c.Index == 2
		default:
			return false
		}
	})
	if err := b.Launcher.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if left := b.alive(); len(left) > 0 {
		t.Errorf("left: %+v", left)
	}
}

func (b *bed) write(path string) {
	b.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		b.Fatal(err)
	}
}

func (b *bed) glob(pattern string) []string {
	b.Helper()
	found, err := filepath.Glob(filepath.Join(b.dir, pattern))
	if err != nil {
		b.Fatal(err)
	}
	return found
}

// kill ends the process whose pid is the end of a file's name.
func (b *bed) kill(file string) {
	b.Helper()
	if out, err := exec.Command("kill", "-KILL", strings.TrimPrefix(filepath.Ext(file), ".")).CombinedOutput(); err != nil {
		b.Fatal(err, string(out))
	}
}

// Codes, signals and last words are the real ones.
func TestExits(t *testing.T) {
	b := newBed(t, sdk.Engine, three())
	b.start(0, `case $(basename "$PWD") in h1) echo the reason; exit 7 ;; h2) kill -SEGV $$ ;; *) exit 255 ;; esac`)
	told := make(map[int]sdk.Exit)
	for range 4 {
		c := <-b.changes
		told[c.Index] = c.Exit
	}
	if told[0].Code != 7 || told[0].Output != "the reason\n" || told[1].Code != 7 || told[3].Code != 255 || told[2].Signal != "SIGSEGV" || told[2].Code != -1 {
		t.Errorf("told %+v", told)
	}
	if exit, err := b.Wait(t.Context()); err != nil || exit.Code == 0 {
		t.Errorf("the set: %+v, %v", exit, err)
	}
}

// The key is on no command line, its file is nobody else's, and goes with the set.
func TestSecrets(t *testing.T) {
	const key = "5ecre7-0123"
	b := newBed(t, sdk.Engine, three())
	file := filepath.Join(b.dir, "ipcontroller-c-engine.json")
	if err := os.WriteFile(file, []byte(`{"key": "`+key+`", "it's": "$HOME"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	r := b.request(4, `tr '\0' ' ' </proc/$PPID/cmdline >"$HOME/cmdline"; ls -l "$IPP_PROFILE_DIR/security" >"$HOME/ls.$$"; mv "$HOME/ls.$$" "$HOME/ls"; echo "$IPP_CONNECTION_INFO" >"$HOME/info"; exec sleep 300`)
	r.EngineFile = file
	r.ProfileDir = filepath.Join(b.home(), ".ipython", "profile_x")
	r.Env["IPP_CONNECTION_INFO"] = `{"key": "` + key + `"}`
	r.Env["IPP_PROFILE_DIR"] = r.ProfileDir
	if err := b.Start(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	until(t, "all run", func() bool { return len(b.glob("home/h?/info")) == 3 })
	for _, host := range []string{"h1", "h2", "h3"} {
		there := filepath.Join(b.dir, "home", host, ".ipython", "profile_x", "security", "ipcontroller-c-engine.json")
		want, _ := os.ReadFile(file)
		if got, err := os.ReadFile(there); err != nil || strings.TrimSpace(string(got)) != string(want) {
			t.Errorf("%s: %q, %v", host, got, err)
		}
		if i, err := os.Stat(there); err != nil || i.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", host, i, err)
		}
		if ls, err := os.ReadFile(filepath.Join(b.dir, "home", host, "ls")); err != nil || !strings.Contains(string(ls), "ipcontroller-c-engine.json") {
			t.Errorf("%s: the file was not there before the engine: %q, %v", host, ls, err)
		}
	}
	for _, name := range append(b.glob("home/h?/cmdline"), filepath.Join(b.dir, "calls")) {
		if text, err := os.ReadFile(name); err != nil || strings.Contains(string(text), key) {
			t.Errorf("%s: %s (%v)", name, text, err)
		}
	}
	if state, err := b.ToDict(t.Context()); err != nil || strings.Contains(string(state), key) {
		t.Errorf("state %s, %v", state, err)
	}
	if err := b.Launcher.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if left := b.glob("home/*/.ipython/profile_x/security/*"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func (b *bed) setStopping(to bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopping = to
}

// home is a home folder for this test: where the user's profile lies here.
func (b *bed) home() string {
	b.Helper()
	dir := filepath.Join(b.dir, "here")
	b.Setenv("HOME", dir)
	return dir
}

// Variables that the scripts use themselves reach the engine, and do no harm.
func TestEnvironment(t *testing.T) {
	b := newBed(t, sdk.SingleEngine, map[string]any{"hostname": "h1", "environment": map[string]string{"n": "our own", "T": "x'y"}})
	names := []string{"n", "T", "m", "b", "l", "i", "p", "out", "ipc_log", "home", "state", "session", "sessions", "grace", "code", "content", "IFS_", "LC_ALL"}
	script := ""
	r := b.request(0, "")
	for _, name := range names {
		r.Env[name] = "value of " + name + " $HOME\n'\"\\"
		script += `printf '%s=%s\1' ` + name + ` "$` + name + `"; `
	}
	r.Command[2] = script
	if err := b.Start(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(b.glob("profile/log/*.log")[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		want := r.Env[name]
		switch name {
		case "n":
			want = "our own"
		case "T":
			want = "x'y"
		}
		if !strings.Contains(string(text), name+"="+want+"\x01") {
			t.Errorf("%s is not %q in %q", name, want, text)
		}
	}
}

// A host that has no ipcore gets this one, once, and checks it.
func TestCopyBinary(t *testing.T) {
	b := newBed(t, sdk.Engine, map[string]any{"engines": json.RawMessage(`{"h1": 2, "h2": 1}`), "copy_binary": true, "remote_python": "/opt/py", "engine_args": []string{"--x=a b"}})
	ipcore := filepath.Join(b.dir, "ipcore")
	if err := os.WriteFile(ipcore, []byte("#!/bin/sh\necho \"$0 $*\" >\"$HOME/new.$$\"; mv \"$HOME/new.$$\" \"$HOME/ran.$$\"; exec sleep 300\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	r := b.request(0, "")
	r.Command = []string{ipcore, "engine", "--profile-dir=" + r.ProfileDir}
	if err := b.Start(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	until(t, "all run", func() bool { return len(b.glob("home/h?/ran.*")) == 3 })
	for _, name := range b.glob("home/h?/ran.*") {
		text, err := os.ReadFile(name)
		home := filepath.Dir(name)
		if err != nil || !strings.HasPrefix(string(text), home+"/.cache/ipcore/ipcore-") || !strings.HasSuffix(string(text), "engine --profile-dir="+r.ProfileDir+" --python=/opt/py --x=a b\n") {
			t.Errorf("%s: %s, %v", name, text, err)
		}
	}
	if err := b.Launcher.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	copies := b.copies()
	again := b.fresh(sdk.Engine)
	if err := again.Start(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if now := b.copies(); copies != 2 || now != 2 {
		t.Errorf("it was copied %d times, and then %d more", copies, now-copies)
	}

	none := newBed(t, sdk.SingleEngine, map[string]any{"hostname": "h1"})
	r = none.request(0, "")
	r.Command = []string{"/no/such/ipcore", "engine"}
	if err := none.Start(t.Context(), r); !errors.Is(err, sdk.ErrBadOption) || !strings.Contains(err.Error(), "copy_binary") || !strings.Contains(err.Error(), "/no/such/ipcore") {
		t.Errorf("a host without ipcore: %v", err)
	}
}

// copies is how often ipcore was carried.
func (b *bed) copies() int {
	text, err := os.ReadFile(filepath.Join(b.dir, "calls"))
	if err != nil {
		b.Fatal(err)
	}
	return strings.Count(string(text), "cat >.cache/ipcore/")
}

func TestFiles(t *testing.T) {
	here := t.TempDir()
	if err := os.WriteFile(filepath.Join(here, "a b"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBed(t, sdk.SingleEngine, map[string]any{
		"hostname": "h1",
		"to_send":  [][2]string{{filepath.Join(here, "a b"), "data/it's $HOME/x y"}},
		"to_fetch": [][2]string{{"data/it's $HOME/x y", filepath.Join(here, "back")}},
	})
	b.start(0, `[ "$(cat "$HOME/data/it's \$HOME/x y")" = content ] && exec sleep 300`)
	if text, err := os.ReadFile(filepath.Join(here, "back")); err != nil || string(text) != "content" {
		t.Errorf("%q, %v", text, err)
	}
	if left := b.glob("home/h1/.ipcore-*"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if st, err := b.Status(t.Context()); err != nil || *st.Running != 1 {
		t.Errorf("%+v, %v", st, err)
	}
	bad := newBed(t, sdk.SingleEngine, map[string]any{"hostname": "h1", "to_send": [][2]string{{"/no/such", "x"}}})
	if err := bad.Start(t.Context(), bad.request(0, "true")); !errors.Is(err, sdk.ErrBadOption) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// A controller's files are fetched when it has written both; those of an earlier
// one are not taken for them.
func TestConnectionInfo(t *testing.T) {
	b := newBed(t, sdk.Controller, map[string]any{"hostname": "h1", "controller_args": []string{"last"}})
	r := b.request(0, `cd "$IPP_PROFILE_DIR/security" && ls >"$HOME/ls"; sleep 0.3; printf '{"half": ' >ipcontroller-c-client.json; echo '{"engine": "'"$1"'"}' >ipcontroller-c-engine.json; sleep 0.3; echo '1}' >>ipcontroller-c-client.json; exec sleep 300`)
	r.Command = append(r.Command, "x")
	r.Env["IPP_PROFILE_DIR"] = r.ProfileDir
	if err := os.MkdirAll(filepath.Join(r.ProfileDir, "security"), 0o700); err != nil {
		t.Fatal(err)
	}
	b.write(filepath.Join(r.ProfileDir, "security", "ipcontroller-c-client.json"))
	if err := b.Start(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	info, err := controller{b.Launcher}.ConnectionInfo(t.Context())
	if err != nil || strings.TrimSpace(string(info.Client)) != `{"half": 1}` || strings.TrimSpace(string(info.Engine)) != `{"engine": "last"}` {
		t.Errorf("%s %s %v", info.Client, info.Engine, err)
	}
	if ls, err := os.ReadFile(filepath.Join(b.dir, "home", "h1", "ls")); err != nil || len(ls) > 0 {
		t.Errorf("old files: %s, %v", ls, err)
	}

	dead := newBed(t, sdk.Controller, map[string]any{"hostname": "h1"})
	dead.start(0, "echo the reason; exit 3")
	if _, err := (controller{dead.Launcher}).ConnectionInfo(t.Context()); !errors.Is(err, sdk.ErrProcessState) || !strings.Contains(err.Error(), "the reason") {
		t.Errorf("a controller that ended: %v", err)
	}
}

func TestProxy(t *testing.T) {
	options, dir := fake(t, map[string]any{"hostname": "front", "ipcluster_cmd": []string{"/bin/sh", "-c", `echo "$*" >"$HOME/args"; trap 'echo stopped >"$HOME/stopped"; exit' TERM; while :; do sleep 0.1; done`, "ipcluster"}, "ipcluster_args": []string{"--engines=slurm"}})
	l := NewProxy(sdk.Engine, sdk.Host{Log: hclog.NewNullLogger()}).(*Launcher)
	n := 64
	// The profile is a folder of both sides, with the cluster's own files.
	security := filepath.Join(dir, "p", "security")
	if err := os.MkdirAll(security, 0o700); err != nil {
		t.Fatal(err)
	}
	engineFile := filepath.Join(security, "ipcontroller-c-engine.json")
	if err := os.WriteFile(engineFile, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := l.Start(t.Context(), sdk.StartRequest{
		ID: "1", N: &n, ProfileDir: filepath.Join(dir, "p"), ClusterID: "c", Tag: "ipcore-tag", Command: []string{"ipcore", "engine"}, Options: options,
		EngineFile: engineFile,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	args := filepath.Join(dir, "home", "front", "args")
	until(t, "it runs", func() bool {
		text, err := os.ReadFile(args)
		return err == nil && strings.HasSuffix(string(text), "\n")
	})
	if text, err := os.ReadFile(args); err != nil || string(text) != fmt.Sprintf("engines -n 64 --profile-dir=%s/p --cluster-id=ipcore-tag-1 --engines=slurm\n", dir) {
		t.Errorf("%s, %v", text, err)
	}
	if text, err := os.ReadFile(filepath.Join(security, "ipcontroller-ipcore-tag-1-engine.json")); err != nil || string(text) != "{}\n" {
		t.Errorf("engine file %q, %v", text, err)
	}
	// What a killed ipcluster leaves.
	if err := os.WriteFile(filepath.Join(security, "cluster-ipcore-tag-1.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	// Its one process stands for all engines, in another process too.
	state, err := l.ToDict(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again := NewProxy(sdk.Engine, sdk.Host{Log: hclog.NewNullLogger()}).(*Launcher)
	defer again.Close()
	if err := again.FromDict(t.Context(), state); err != nil {
		t.Fatal(err)
	}
	for name, l := range map[string]*Launcher{"the first": l, "restored": again} {
		if st, err := l.Status(t.Context()); err != nil || *st.Running != n || *st.Total != n {
			t.Errorf("%s: %+v, %v", name, st, err)
		}
	}
	if err := l.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "home", "front", "stopped")); err != nil {
		t.Errorf("the other side was not asked to end: %v", err)
	}
	left, err := os.ReadDir(security)
	if err != nil || len(left) != 1 || left[0].Name() != filepath.Base(engineFile) {
		t.Errorf("what is left is %v, %v", left, err)
	}
}

func TestSweep(t *testing.T) {
	b := newBed(t, sdk.Engine, three())
	r := b.request(0, "trap '' TERM; while :; do sleep 1; done")
	tag := "sweep-" + strings.ToLower(filepath.Base(filepath.Dir(b.dir)))[:8] + fmt.Sprint(time.Now().UnixNano()%1e9)
	r.Env[sdk.EnvTag] = tag + "-1"
	if err := b.Start(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	// Of each engine the wrapper, the shell and its sleep: a shell that comes after
	// the look would not be among what is removed.
	until(t, "all run", func() bool { return len(b.alive()) >= 12 })
	b.setStopping(true)
	state, err := b.ToDict(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	q := sdk.OrphanQuery{Tag: tag, States: []sdk.State{state}}
	found, err := b.fresh(sdk.Engine).Orphans(t.Context(), q)
	if err != nil || len(found) < 8 || found[0].Tag != tag+"-1" || !strings.Contains(found[0].Text, " on h") {
		t.Errorf("%d found: %.300v, %v", len(found), found, err)
	}
	if err := b.fresh(sdk.Engine).RemoveOrphans(t.Context(), q, found); err != nil {
		t.Error(err)
	}
	until(t, "none is left", func() bool { return len(b.alive()) == 0 })
	if found, err := b.fresh(sdk.Engine).Orphans(t.Context(), q); err != nil || len(found) > 0 {
		t.Errorf("found %v, %v", found, err)
	}
}

// The scripts do the same in every shell that is here.
func TestShells(t *testing.T) {
	for _, shell := range []string{"dash", "bash", "busybox sh", "ksh", "mksh", "zsh"} {
		t.Run(shell, func(t *testing.T) {
			program, _, _ := strings.Cut(shell, " ")
			if _, err := exec.LookPath(program); err != nil {
				return // another shell's turn; one of them is everywhere
			}
			t.Setenv("FAKE_SSH_SHELL", shell)
			b := newBed(t, sdk.Engine, three())
			b.start(3, `trap 'exit 9' USR1; echo "it's on"; while :; do sleep 0.1; done`)
			until(t, "there is output", func() bool {
				text, err := b.Output(t.Context(), false)
				return err == nil && strings.Count(text, "it's on\n") == 3
			})
			if err := b.Signal(t.Context(), "USR1"); err != nil {
				t.Error(err)
			}
			if exit, err := b.Wait(t.Context()); err != nil || exit.Code != 9 {
				t.Errorf("%+v, %v", exit, err)
			}
		})
	}
}

// What is shown is what is run, less what may be secret.
func TestScript(t *testing.T) {
	b := newBed(t, sdk.Engine, map[string]any{"engines": json.RawMessage(threeHosts), "environment": map[string]string{"OTHER": "5ecre7"}})
	r := b.request(3, "work")
	r.Env = map[string]string{"TOKEN": "5ecre7", "IPP_CLUSTER_ID": "shown"}
	r.EngineFile = filepath.Join(b.dir, "engine.json")
	if err := os.WriteFile(r.EngineFile, []byte(`{"key": "5ecre7"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := b.fresh(sdk.Engine).Script(t.Context(), r, true)
	if err != nil || strings.Contains(s.Text+s.Command+s.Answer, "5ecre7") || !strings.Contains(s.Text, "export IPP_CLUSTER_ID=shown") || strings.Count(s.Text, "\nlaunch ") != 3 ||
		strings.Count(s.Command, "exec /bin/sh -s") != 2 || !strings.Contains(s.Answer, "h2: host ") {
		t.Errorf("%+v, %v", s, err)
	}
	if left := b.alive(); len(left) > 0 {
		t.Errorf("it started %v", left)
	}
	r.ID = strings.Repeat("x", 300)
	if err := b.Start(t.Context(), r); !errors.Is(err, sdk.ErrBadOption) {
		t.Errorf("a name that is too long: %v", err)
	}
}

func TestState(t *testing.T) {
	b := newBed(t, sdk.Engine, three())
	b.start(0, "exec sleep 300")
	raw, err := b.ToDict(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var form map[string]any
	if err := json.Unmarshal(raw, &form); err != nil {
		t.Fatal(err)
	}
	one, ok := form["engines"].(map[string]any)["h1/1"].(map[string]any)
	if form["pid"] != -1.0 || form["n"] != 4.0 || form["state"] != "running" || form["version"] != 1.0 || !ok || one["hostname"] != "h1" || one["remote_output_file"] == "" || one["pid"].(float64) < 2 {
		t.Errorf("%s", raw)
	}
	for _, bad := range []string{`{"version": 99, "hosts": []}`, `{"version": 1}`, `{"pid": 17, "hostname": "h1"}`, `{"version": 1, "hosts": [{"target": {"hostname": "-x"}}]}`, `{"version": 1, "hosts": [{"target": {"hostname": "x"}, "processes": [{"pid": -1, "birth": "1"}]}]}`} {
		if err := b.fresh(sdk.Engine).FromDict(t.Context(), sdk.State(bad)); !errors.Is(err, sdk.ErrBadOption) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// A start that is cut short leaves nothing.
func TestStartCutShort(t *testing.T) {
	b := newBed(t, sdk.Engine, three())
	ctx, cancel := context.WithCancel(t.Context())
	var once sync.Once
	go func() {
		for !t.Failed() {
			if len(b.glob("profile/log/*")) > 0 {
				once.Do(cancel)
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	err := b.Start(ctx, b.request(0, "trap '' TERM; sleep 300"))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if left := b.alive(); len(left) > 0 {
		t.Errorf("left: %+v", left)
	}
}
