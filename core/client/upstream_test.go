//go:build unix

package client

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startUpstream starts ipyparallel's own controller and engines and returns the path of
// the client file.
func startUpstream(t *testing.T, python string, engines int) string {
	t.Helper()
	dir := t.TempDir()
	start := func(name string, args ...string) {
		log, err := os.Create(filepath.Join(dir, name+".out"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = log.Close() }()
		cmd := exec.Command(python, append([]string{"-m", "ipyparallel." + args[0], "--profile-dir=" + dir}, args[1:]...)...)
		cmd.Env = append(cmd.Environ(), "IPYTHONDIR="+dir, "PYTHONWARNINGS=ignore")
		cmd.Stdout, cmd.Stderr = log, log
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // the process and any remaining children
			_ = cmd.Wait()
			if t.Failed() {
				text, _ := os.ReadFile(log.Name())
				t.Logf("%s:\n%s", name, text)
			}
		})
	}
	start("controller", "controller", "--ip=127.0.0.1", "--HeartMonitor.period=300")
	file := filepath.Join(dir, "security", "ipcontroller-client.json")
	engineFile := filepath.Join(dir, "security", "ipcontroller-engine.json")
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		_, err := os.Stat(file)
		if _, engineErr := os.Stat(engineFile); err == nil && engineErr == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the controller wrote no connection files")
		}
	}
	for i := range engines {
		start(fmt.Sprint("engine", i), "engine")
	}
	return file
}

// TestUpstream runs the client against ipyparallel's controller and engines.
func TestUpstream(t *testing.T) {
	for _, v := range []struct{ version, variable, usual string }{
		{"7.1", "IPCORE_TEST_PY71", "/usr/bin/python3"},
		{"9.1", "IPCORE_TEST_PY91", ""},
	} {
		t.Run(v.version, func(t *testing.T) {
			python := cmp.Or(os.Getenv(v.variable), v.usual)
			check := "import ipyparallel, sys; sys.exit(not ipyparallel.__version__.startswith('" + v.version + "'))"
			if python == "" || exec.Command(python, "-c", check).Run() != nil {
				t.Skipf("needs a Python with ipyparallel %s (%s): `make deps` finds or makes one", v.version, v.variable)
			}
			t.Parallel()
			testCluster(t, startUpstream(t, python, 2), false)
		})
	}
}

// testCluster tries every method of the client on a cluster of two engines. Native
// engines survive the death of the process that runs the code.
func testCluster(t *testing.T, file string, native bool) {
	ctx := t.Context()
	c, err := Connect(ctx, Options{File: file})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var counts []int
	if err := c.WaitForEngines(ctx, 2, func(n int) { counts = append(counts, n) }); err != nil {
		t.Fatal(err)
	}
	t.Logf("engines came as %v", counts)

	// Output, value, expressions.
	results, err := c.Execute(ctx, nil, "import os, sys\nprint('out')\nprint('err', file=sys.stderr)\nx = 6 * 7\nos.getpid()",
		ExecuteOptions{Expressions: map[string]string{"x": "x", "bad": "nosuch"}})
	if err != nil {
		t.Fatal(err)
	}
	pids := map[int]int{}
	for i, r := range results {
		if r.Engine != i || r.Status != "ok" || r.Stdout != "out\n" || r.Stderr != "err\n" || r.Expressions["x"].Text() != "42" ||
			r.Expressions["bad"].Err == nil || r.Expressions["bad"].Err.Ename != "NameError" || r.Completed.IsZero() {
			t.Errorf("result %d: %+v", i, r)
		}
		if pids[i], err = strconv.Atoi(r.Text()); err != nil {
			t.Error(err)
		}
	}
	if pids[0] == pids[1] {
		t.Errorf("pids %v", pids)
	}

	// An exception.
	results, err = c.Execute(ctx, []int{1}, "1/0", ExecuteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if e := results[0].Err; e == nil || e.Ename != "ZeroDivisionError" || !strings.Contains(e.TracebackText(), "division by zero") || e.EngineInfo.ID != 1 {
		t.Errorf("%+v", results[0])
	}

	// Tasks.
	var tasks []*Task
	for i := range 50 {
		o := TaskOptions{Retries: 1}
		o.Expressions = map[string]string{"square": "square"}
		task, err := c.Submit(fmt.Sprintf("square = %d ** 2", i), o)
		if err != nil {
			t.Fatal(err)
		}
		tasks = append(tasks, task)
	}
	if results, err = Gather(ctx, tasks); err != nil {
		t.Fatal(err)
	}
	used := map[int]int{}
	for i, r := range results {
		if r.Expressions["square"].Text() != fmt.Sprint(i*i) || r.Err != nil {
			t.Errorf("task %d: %+v", i, r)
		}
		used[r.Engine]++
	}
	if len(used) != 2 {
		t.Errorf("tasks by engine: %v", used)
	}

	// The controller's records.
	status, err := c.QueueStatus(ctx, nil)
	if err != nil || len(status.Engines) != 2 || status.Engines[0].Queue != 0 {
		t.Errorf("%+v, %v", status, err)
	}
	records, err := c.DBQuery(ctx, map[string]any{"msg_id": results[7].MsgID}, "msg_id", "engine_uuid")
	if err != nil || len(records) != 1 {
		t.Fatal(records, err)
	}
	var uuid string
	if err := json.Unmarshal(records[0]["engine_uuid"], &uuid); err != nil || uuid != results[7].UUID {
		t.Errorf("record %v, engine %s", records, results[7].UUID)
	}
	if history, err := c.History(ctx); err != nil || !slices.Contains(history, results[7].MsgID) {
		t.Errorf("history of %d, %v", len(history), err)
	}

	// Abort requests that wait behind code that SIGINT ends.
	began := make(chan struct{}, 1)
	long, err := c.Start([]int{0}, "import time\nprint('began', flush=True)\ntime.sleep(60)", ExecuteOptions{
		Output: func(int, string, string) {
			select {
			case began <- struct{}{}:
			default:
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	<-began
	waiting, err := c.Start([]int{0}, "aborted = True", ExecuteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Signal(ctx, []int{0}, "SIGINT"); err != nil {
		t.Error(err)
	}
	results, err = Gather(ctx, append(long, waiting...))
	if err != nil || results[0].Err == nil || results[0].Err.Ename != "KeyboardInterrupt" ||
		results[1].Err != nil && results[1].Err.Ename != "TaskAborted" { // without an error, the abort came after the signal
		t.Errorf("%+v, %v", results, err)
	}
	if err := c.Abort(ctx, []int{0}, waiting[0].MsgID); err != nil {
		t.Error(err)
	}
	if err := c.Clear(ctx, nil); err != nil {
		t.Error(err)
	}
	if results, err = c.Execute(ctx, nil, "x", ExecuteOptions{}); err != nil || results[0].Err == nil || results[0].Err.Ename != "NameError" {
		t.Errorf("after Clear: %+v, %v", results, err)
	}

	// An engine dies while it runs a request. The kernel of ipyparallel's engines aborts
	// requests that arrive just after an error.
	for aborted := true; aborted && ctx.Err() == nil; {
		results, err = c.Execute(ctx, []int{1}, "import os; os.kill(os.getpid(), 9)", ExecuteOptions{})
		aborted = err == nil && results[0].Err != nil && results[0].Err.Ename == "TaskAborted"
	}
	if err != nil || results[0].Err == nil || results[0].Err.Ename != "EngineError" {
		t.Errorf("%+v, %v", results, err)
	}
	left := []int{0}
	if native {
		left = []int{0, 1}
		if results, err = c.Execute(ctx, []int{1}, "1 + 1", ExecuteOptions{}); err != nil || results[0].Text() != "2" {
			t.Errorf("after the worker's death: %+v, %v", results, err)
		}
	}
	// The error and the notification of the engine's end arrive on different connections.
	for limit := time.Now().Add(20 * time.Second); !slices.Equal(c.IDs(), left); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Errorf("ids %v", c.IDs())
			break
		}
	}

	if err := c.Shutdown(ctx, nil, true); err != nil {
		t.Error(err)
	}
	select {
	case <-c.Closed():
	case <-time.After(20 * time.Second):
		t.Error("the client is not closed after the controller's end")
	}
}
