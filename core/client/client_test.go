package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/wire"
)

func TestExecute(t *testing.T) {
	f := startFake(t, 3)
	c := connect(t, f)
	if ids := c.IDs(); !slices.Equal(ids, []int{0, 1, 2}) {
		t.Fatalf("ids %v", ids)
	}
	results, err := c.Execute(within(t), nil, "print value ok idle", ExecuteOptions{Expressions: map[string]string{"x": "1", "bad": "2"}})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if r.Engine != i || r.UUID != fmt.Sprint("engine-", i) || r.Status != "ok" || r.Err != nil ||
			r.Stdout != "printed\n" || r.Stderr != "warned\n" || r.Text() != "42" ||
			r.Started.IsZero() || r.Completed.IsZero() {
			t.Errorf("result %d: %+v", i, r)
		}
		if r.Expressions["x"].Text() != "'x'" || r.Expressions["bad"].Err.Ename != "NameError" {
			t.Errorf("expressions of %d: %+v", i, r.Expressions)
		}
	}
	if err := Errors(results); err != nil {
		t.Error(err)
	}
	var said []string
	results, err = c.Execute(within(t), []int{2}, "print idle error", ExecuteOptions{Output: func(engine int, stream, text string) {
		said = append(said, fmt.Sprint(engine, stream, text))
	}})
	if err != nil {
		t.Fatal(err)
	}
	r := results[0]
	if r.Status != "error" || r.Err == nil || r.Err.Error() != "[2:execute] ZeroDivisionError: division by zero" || r.Stdout != "" {
		t.Errorf("%+v", r)
	}
	if want := []string{"2stdoutprinted\n", "2stderrwarned\n"}; !slices.Equal(said, want) {
		t.Errorf("output %q", said)
	}
	if Errors(results) == nil {
		t.Error("Errors knows of none")
	}
}

func TestUnknownTargets(t *testing.T) {
	f := startFake(t, 0)
	c := connect(t, f)
	if _, err := c.Execute(within(t), nil, "ok idle", ExecuteOptions{}); !errors.Is(err, ErrNoEngines) {
		t.Error(err)
	}
	if _, err := c.Execute(within(t), []int{7}, "ok idle", ExecuteOptions{}); err == nil || !strings.Contains(err.Error(), "engine 7 is not registered") {
		t.Error(err)
	}
}

func TestTaskQueue(t *testing.T) {
	c := connect(t, startFake(t, 1))
	done := make(chan *Task, 100)
	for range 100 {
		if _, err := c.Submit("ok idle", TaskOptions{Done: func(t *Task) { done <- t }}); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		r, err := (<-done).Wait(within(t))
		if err != nil || r.Engine != 0 || r.Status != "ok" {
			t.Fatal(r, err)
		}
	}
	task, err := c.Submit("lost", TaskOptions{Retries: 1, Timeout: time.Second, Targets: []int{0}, ExecuteOptions: ExecuteOptions{Label: "x"}})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := task.Wait(within(t)); err != nil || r.Err == nil || r.Err.Ename != "EngineError" {
		t.Fatal(r, err)
	}
	task, err = c.Submit("aborted", TaskOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := task.Wait(within(t)); err != nil || r.Status != "aborted" || r.Err.Ename != "TaskAborted" {
		t.Fatal(r, err)
	}
}

func TestEngineThatDies(t *testing.T) {
	f := startFake(t, 2)
	c := connect(t, f)
	f.run = func(reply func(), _ *wire.Message) {
		f.notify("unregistration_notification", map[string]any{"id": 1, "uuid": "engine-1"})
	}
	begin := time.Now()
	results, err := c.Execute(within(t), []int{1}, "held", ExecuteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r := results[0]; r.Err == nil || r.Err.Ename != "EngineError" || !strings.Contains(r.Err.Evalue, r.MsgID) {
		t.Errorf("%+v", r)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("took %s", took)
	}
	if ids := c.IDs(); !slices.Equal(ids, []int{0}) {
		t.Errorf("ids %v", ids)
	}
	// An outdated list of engines does not add it again.
	if err := c.refresh(within(t), false); err != nil {
		t.Fatal(err)
	}
	if ids := c.IDs(); !slices.Equal(ids, []int{0}) {
		t.Errorf("ids after an old list %v", ids)
	}
}

func TestReplyThatCrossesTheNoticeOfDeath(t *testing.T) {
	f := startFake(t, 1)
	c := connect(t, f)
	c.grace = time.Minute
	c.mu.Lock()
	changed := c.changed
	c.mu.Unlock()
	f.run = func(reply func(), _ *wire.Message) {
		f.notify("unregistration_notification", map[string]any{"id": 0, "uuid": "engine-0"})
		<-changed // the notification arrived first
		reply()
	}
	results, err := c.Execute(within(t), nil, "held ok", ExecuteOptions{})
	if err != nil || results[0].Err != nil || results[0].Status != "ok" {
		t.Fatal(results, err)
	}
}

func TestWaitForEngines(t *testing.T) {
	f := startFake(t, 1)
	c := connect(t, f)
	var seen []int
	progress := make(chan int, 10)
	go func() {
		f.notify("registration_notification", map[string]any{"id": 5, "uuid": "engine-5"})
		f.mu.Lock()
		f.engines["6"] = "engine-6" // its notification is lost
		f.mu.Unlock()
	}()
	if err := c.WaitForEngines(within(t), 3, func(n int) { progress <- n }); err != nil {
		t.Fatal(err)
	}
	close(progress)
	for n := range progress {
		seen = append(seen, n)
	}
	if !slices.IsSorted(seen) || seen[len(seen)-1] != 3 {
		t.Errorf("progress %v", seen)
	}
	short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := c.WaitForEngines(short, 9, nil); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "3 of 9") {
		t.Error(err)
	}
}

func TestRequestsToTheController(t *testing.T) {
	c := connect(t, startFake(t, 1))
	s, err := c.QueueStatus(within(t), nil)
	if err != nil || s.Unassigned != 4 || s.Engines[0] != (EngineQueue{1, 2, 3}) || len(s.Engines) != 1 {
		t.Error(s, err)
	}
	if h, err := c.History(within(t)); err != nil || !slices.Equal(h, []string{"a", "b"}) {
		t.Error(h, err)
	}
	var remote *wire.RemoteError
	if _, err := c.DBQuery(within(t), nil, "nosuch"); !errors.As(err, &remote) || remote.Ename != "KeyError" {
		t.Error(err)
	}
	if err := c.Abort(within(t), nil); err != nil {
		t.Error(err)
	}
	if err := c.Signal(within(t), []int{0}, "SIGINT"); err != nil {
		t.Error(err)
	}
	short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := c.Clear(short, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if err := c.Shutdown(within(t), nil, true); err != nil {
		t.Error(err)
	}
	select {
	case <-c.Closed():
	case <-within(t).Done():
		t.Error("not closed")
	}
	if !errors.Is(c.Reason(), ErrShutdown) {
		t.Error(c.Reason())
	}
	if _, err := c.Execute(within(t), nil, "ok", ExecuteOptions{}); !errors.Is(err, ErrShutdown) {
		t.Error(err)
	}
}

func TestEveryRequestEnds(t *testing.T) {
	for name, end := range map[string]struct {
		do   func(f *fake, c *Client, task *Task)
		want error
	}{
		"close":        {func(_ *fake, c *Client, _ *Task) { c.Close() }, ErrClosed},
		"disconnected": {func(f *fake, _ *Client, _ *Task) { _ = f.mux.Close(0) }, ErrDisconnected},
		"shutdown":     {func(f *fake, _ *Client, _ *Task) { f.notify("shutdown_notification", struct{}{}) }, ErrShutdown},
		"forgotten":    {func(_ *fake, _ *Client, t *Task) { t.Forget() }, ErrForgotten},
	} {
		t.Run(name, func(t *testing.T) {
			f := startFake(t, 1)
			c := connect(t, f)
			arrived := make(chan struct{})
			f.run = func(func(), *wire.Message) { close(arrived) }
			tasks, err := c.Start(nil, "held", ExecuteOptions{})
			if err != nil {
				t.Fatal(err)
			}
			select {
			case <-arrived:
			case <-within(t).Done():
				t.Fatal("the request did not arrive")
			}
			end.do(f, c, tasks[0])
			if _, err := tasks[0].Wait(within(t)); !errors.Is(err, end.want) {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

func TestControllerThatComesBack(t *testing.T) {
	f := startFake(t, 3)
	c := connect(t, f)
	f.notify("unregistration_notification", map[string]any{"id": 1, "uuid": "engine-1"})
	f.mu.Lock()
	f.engines = map[string]string{"0": "engine-0", "1": "engine-1", "9": "engine-9"}
	f.mu.Unlock()
	_ = f.query.Close(0)
	f.query = f.listen(sockets.Router, &f.info.Registration, f.onQuery)
	for want := []int{0, 1, 9}; !slices.Equal(c.IDs(), want); {
		c.mu.Lock()
		changed := c.changed
		c.mu.Unlock()
		if slices.Equal(c.IDs(), want) {
			break
		}
		select {
		case <-changed:
		case <-c.Closed():
			t.Fatal(c.Reason())
		case <-within(t).Done():
			t.Fatalf("ids %v", c.IDs())
		}
	}
	if c.Reason() != nil {
		t.Error(c.Reason())
	}
}

func TestContextEndsExecute(t *testing.T) {
	f := startFake(t, 2)
	c := connect(t, f)
	ctx, cancel := context.WithCancel(context.Background())
	f.run = func(reply func(), m *wire.Message) {
		if string(m.Idents[0]) == "engine-0" {
			reply()
			return
		}
		go cancel()
	}
	results, err := c.Execute(ctx, nil, "held ok idle", ExecuteOptions{})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if results[1].Status != "" || results[1].Engine != 1 {
		t.Errorf("%+v", results[1])
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, k := range c.calls {
		if k.uuid == "engine-1" {
			t.Errorf("call %s is still there", id)
		}
	}
}

func TestNoController(t *testing.T) {
	f := startFake(t, 0)
	_ = f.query.Close(0)
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	_, err := Connect(ctx, Options{Info: &f.info})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), fmt.Sprint(f.info.Registration)) {
		t.Fatal(err)
	}
	key := "x"
	f.info.CurveServerKey = &key
	if _, err := Connect(ctx, Options{Info: &f.info}); err == nil || !strings.Contains(err.Error(), "CURVE") {
		t.Fatal(err)
	}
	if _, err := Connect(ctx, Options{File: t.TempDir() + "/none.json"}); err == nil {
		t.Fatal("no error")
	}
}
