//go:build unix

package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/controller"
	"github.com/ipcore/ipcore/core/profile"
)

// engineVariable makes the test binary an engine of the profile it names.
const engineVariable = "IPCORE_TEST_ENGINE"

// engineMain uses this package as the ipcore command does.
func engineMain() {
	dir := os.Getenv(engineVariable)
	if dir == "" {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	err := Run(ctx, Options{
		Profile:        profile.Profile{Dir: dir},
		WaitForFile:    patience,
		Timeout:        patience,
		StartupCommand: "marker = 'here'",
		Interrupts:     interrupts,
		Log:            hclog.New(&hclog.LoggerOptions{Level: hclog.Debug}),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
	}
	os.Exit(ExitCode(err))
}

// release is an installed release of IPython Parallel.
type release struct{ version, python string }

// releases returns the installed releases; a test of a missing one is skipped by name.
func releases() []release {
	python := func(name, otherwise string) string {
		if p := os.Getenv(name); p != "" {
			return p
		}
		return otherwise
	}
	return []release{
		{"7.1", python("IPCORE_TEST_PY71", "/usr/bin/python3")},
		{"9.1", python("IPCORE_TEST_PY91", "")},
	}
}

func (r release) need(t *testing.T) {
	t.Helper()
	if r.python == "" {
		t.Skipf("IPython Parallel %s: IPCORE_TEST_PY%s names no Python with it; make deps", r.version, strings.ReplaceAll(r.version, ".", ""))
	}
	out, err := exec.Command(r.python, "-c", "import ipyparallel, numpy; print(ipyparallel.__version__)").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), r.version) {
		t.Skipf("IPython Parallel %s is not in %s (%v: %.200s); make deps", r.version, r.python, err, out)
	}
}

// process starts a program that ends with the test; its output is shown if the test
// fails.
func process(t *testing.T, name string, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	log, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		_ = log.Close()
		if text, err := os.ReadFile(path); t.Failed() && err == nil {
			t.Logf("%s:\n%s", name, text)
		}
	})
	return cmd
}

// engineProcess starts an engine.
func engineProcess(t *testing.T, dir string, python string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(cmd.Environ(), engineVariable+"="+dir, "IPCORE_PYTHON="+python)
	return process(t, "engine", cmd)
}

// exited waits for the end of a process and returns its exit code.
func exited(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case <-done:
		return cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Errorf("process %d does not end", cmd.Process.Pid)
		return -1
	}
}

// upstream starts a release's own controller.
func (r release) controller(t *testing.T, dir string) {
	cmd := exec.Command(r.python, "-m", "ipyparallel.controller", "--profile-dir="+dir, "--ping=250", "--nodb")
	process(t, "controller", cmd)
}

// native starts our controller in this process.
func native(t *testing.T, dir string) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- controller.Run(ctx, controller.Options{Profile: profile.Profile{Dir: dir}})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func waitForFile(t *testing.T, path string) {
	t.Helper()
	for deadline := time.Now().Add(2 * patience); ; time.Sleep(10 * time.Millisecond) {
		_, err := os.Stat(path)
		if err == nil {
			return
		}
		if !errors.Is(err, fs.ErrNotExist) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// Real controllers and clients, each with native engines.
func TestSession(t *testing.T) {
	if testing.Short() {
		t.Skip("real controllers and clients; run without -short")
	}
	for _, r := range releases() {
		for _, of := range []struct {
			name  string
			start func(*testing.T, string)
		}{{"own", native}, {"upstream", r.controller}} {
			t.Run(of.name+" controller and client "+r.version, func(t *testing.T) {
				r.need(t)
				const n = 2
				dir := t.TempDir()
				of.start(t, dir)
				var engines []*exec.Cmd
				for range n {
					engines = append(engines, engineProcess(t, dir, r.python))
				}
				file := filepath.Join(dir, "security", "ipcontroller-client.json")
				waitForFile(t, file)
				ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
				defer cancel()
				client := exec.CommandContext(ctx, r.python, "testdata/session.py", file, strconv.Itoa(n))
				if out, err := client.CombinedOutput(); err != nil {
					t.Fatalf("client: %v\n%s", err, out)
				}
				for _, e := range engines {
					if code := exited(t, e); code != 0 {
						t.Errorf("engine ended with %d", code)
					}
				}
			})
		}
	}
}

// workers returns the children of a process.
func workers(t *testing.T, pid int) []int {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil || len(tasks) == 0 {
		t.Skipf("no /proc with the children of processes here (%v)", err)
	}
	var pids []int
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		for field := range strings.FieldsSeq(string(text)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, child)
		}
	}
	return pids
}

// gone waits until a process has ended or is a zombie.
func gone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return
		}
		if _, rest, _ := strings.Cut(string(text), ") "); strings.HasPrefix(rest, "Z") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("worker %d is still running", pid)
		}
	}
}

// However the engine ends, its worker ends too.
func TestWorkerEndsWithEngine(t *testing.T) {
	r := releases()[0]
	if out, err := exec.Command(r.python, "-c", "0").CombinedOutput(); err != nil {
		t.Skipf("no Python at %s (%v: %s); make deps", r.python, err, out)
	}
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			c := newController(t)
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "security"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "security", "ipcontroller-engine.json"), []byte(c.text()), 0o600); err != nil {
				t.Fatal(err)
			}
			e := engineProcess(t, dir, r.python)
			m := c.request("registration_request")
			c.answerHub(m, `{"id": 3, "status": "ok", "hb_period": 3000}`)
			c.pinged(m.header.Session)
			id := c.submitTo(m.header.Session, c.mux, "execute_request", "", `{"code": "print('in', flush=True); import time; time.sleep(60)", "silent": true}`)
			for c.publication("stream").parent.MsgID != id {
			}
			pids := workers(t, e.Process.Pid)
			if len(pids) != 1 {
				t.Fatalf("workers: %v", pids)
			}
			if err := e.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			code := exited(t, e)
			if sig == syscall.SIGTERM && code != 0 {
				t.Errorf("exit code %d", code)
			}
			gone(t, pids[0])
		})
	}
}
