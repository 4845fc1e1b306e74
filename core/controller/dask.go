package controller

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/wire"
	"github.com/ipcore/ipcore/internal/python"
	"github.com/ipcore/ipcore/sdk/process"
)

//go:embed dask.py
var daskProgram string

const (
	daskStartTimeout = 60 * time.Second // importing dask.distributed alone can take seconds
	daskStopTimeout  = 3 * time.Second
	daskMaxReply     = 64 << 10 // bytes of its reply
)

// dask runs Dask's scheduler, a child process, on request of clients.
type dask struct {
	python string // empty: see python.Find
	log    hclog.Logger

	ctx    context.Context // ended by close
	cancel context.CancelFunc
	group  sync.WaitGroup

	mu  sync.Mutex
	run *daskRun // nil: not running
}

// daskRun is one run of the scheduler.
type daskRun struct {
	ctx     context.Context
	end     context.CancelFunc
	content json.RawMessage // its reply, once received
	waiting []daskCallback
}

// daskCallback receives the addresses of the scheduler, or the error why it does not
// run.
type daskCallback func(content json.RawMessage, err error)

func newDask(python string, log hclog.Logger) *dask {
	d := &dask{python: python, log: log}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d
}

// start starts the scheduler with arguments, a JSON dictionary, unless it is
// running, and calls reply once, at once or later. It does not wait.
func (d *dask) start(arguments json.RawMessage, reply daskCallback) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.ctx.Err() != nil:
		reply(nil, errors.New("the controller is shutting down"))
	case d.run == nil:
		run := &daskRun{waiting: []daskCallback{reply}}
		run.ctx, run.end = context.WithCancel(d.ctx)
		d.run = run
		d.group.Go(func() { d.supervise(run, arguments) })
	case d.run.content == nil:
		d.run.waiting = append(d.run.waiting, reply)
	default:
		reply(d.run.content, nil)
	}
}

// stop stops the scheduler if it is running. It does not wait.
func (d *dask) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.run != nil {
		d.run.end()
		d.run = nil
	}
}

// close stops the scheduler and returns when it has exited.
func (d *dask) close() {
	d.mu.Lock()
	d.cancel()
	d.mu.Unlock()
	d.group.Wait()
}

// supervise runs the scheduler until it exits, and fails the callbacks that still
// wait.
func (d *dask) supervise(run *daskRun, arguments json.RawMessage) {
	err := d.runProcess(run, arguments)
	run.end()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.run == run { // stop was not called
		d.run = nil
		d.log.Warn("Dask's scheduler has exited", "error", err)
	}
	for _, reply := range run.waiting {
		reply(nil, err)
	}
}

// runProcess runs the process until run is ended or the process exits. The error is
// why it did not start.
func (d *dask) runProcess(run *daskRun, arguments json.RawMessage) error {
	interpreter, err := python.Find(d.python, os.Getenv)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(run.ctx, interpreter, "-c", daskProgram)
	cmd.Stderr = os.Stderr
	cmd.Env = process.Environ(map[string]string{"IPP_SESSION_KEY": "", "IPP_CURVE_SECRETKEY": ""})
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Cancel, cmd.WaitDelay = stdin.Close, daskStopTimeout
	if err := cmd.Start(); err != nil {
		return err
	}
	timeout := time.AfterFunc(daskStartTimeout, run.end)
	defer timeout.Stop()
	content, err := handshake(stdin, stdout, arguments)
	if err == nil {
		timeout.Stop()
		d.started(run, content)
		_, err = io.Copy(io.Discard, stdout) // until the process closes it
	} else {
		run.end()
	}
	_ = cmd.Wait() // it was stopped, or err is set already
	return err
}

// handshake writes the arguments to the process and reads its reply.
func handshake(stdin io.Writer, stdout io.Reader, arguments json.RawMessage) (json.RawMessage, error) {
	var line bytes.Buffer
	if err := json.Compact(&line, arguments); err != nil {
		return nil, err
	}
	line.WriteByte('\n')
	if _, err := stdin.Write(line.Bytes()); err != nil {
		return nil, err
	}
	text, err := bufio.NewReader(io.LimitReader(stdout, daskMaxReply)).ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("the scheduler of Dask exited before it replied: %w; the controller's log may say more", err)
	}
	var reply struct{ Status, Ename, Evalue string }
	if err := json.Unmarshal(text, &reply); err != nil {
		return nil, err
	}
	if reply.Status != "ok" {
		return nil, wire.NewRemoteError(reply.Ename, reply.Evalue)
	}
	return bytes.TrimSpace(text), nil
}

// started records the scheduler's reply and passes it to the waiting callbacks.
func (d *dask) started(run *daskRun, content json.RawMessage) {
	d.log.Info("dask.distributed scheduler is running", "info", string(content))
	d.mu.Lock()
	defer d.mu.Unlock()
	run.content = content
	for _, reply := range run.waiting {
		reply(content, nil)
	}
	run.waiting = nil
}
