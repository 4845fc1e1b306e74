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
	daskStart = 60 * time.Second // importing it alone can take seconds
	daskEnd   = 3 * time.Second
	daskLine  = 64 << 10 // bytes of its answer
)

// dask keeps Dask's scheduler, a child process of ours, while clients want it.
type dask struct {
	python string // empty finds one
	log    hclog.Logger

	ctx    context.Context // ends with close
	cancel context.CancelFunc
	group  sync.WaitGroup

	mu  sync.Mutex
	run *daskRun // nil when none runs
}

// daskRun is one life of a scheduler.
type daskRun struct {
	ctx     context.Context
	end     context.CancelFunc
	content json.RawMessage // its answer, once it is there
	waiting []daskAnswer
}

// daskAnswer hears where a scheduler is, or why it is not.
type daskAnswer func(content json.RawMessage, err error)

func newDask(python string, log hclog.Logger) *dask {
	d := &dask{python: python, log: log}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d
}

// become starts a scheduler with these arguments, a JSON dictionary, unless one
// runs, and has answer called once. It does not wait.
func (d *dask) become(arguments json.RawMessage, answer daskAnswer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.ctx.Err() != nil:
		answer(nil, errors.New("the controller is ending"))
	case d.run == nil:
		run := &daskRun{waiting: []daskAnswer{answer}}
		run.ctx, run.end = context.WithCancel(d.ctx)
		d.run = run
		d.group.Go(func() { d.live(run, arguments) })
	case d.run.content == nil:
		d.run.waiting = append(d.run.waiting, answer)
	default:
		answer(d.run.content, nil)
	}
}

// stop ends the scheduler if one runs. It does not wait.
func (d *dask) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.run != nil {
		d.run.end()
		d.run = nil
	}
}

// close ends the scheduler and returns when it has ended.
func (d *dask) close() {
	d.mu.Lock()
	d.cancel()
	d.mu.Unlock()
	d.group.Wait()
}

// live is the life of one scheduler.
func (d *dask) live(run *daskRun, arguments json.RawMessage) {
	err := d.attend(run, arguments)
	run.end()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.run == run { // nobody stopped it
		d.run = nil
		d.log.Warn("Dask's scheduler has ended", "error", err)
	}
	for _, answer := range run.waiting {
		answer(nil, err)
	}
}

// attend runs the process until run's end or its own. An error is about its start.
func (d *dask) attend(run *daskRun, arguments json.RawMessage) error {
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
	cmd.Cancel, cmd.WaitDelay = stdin.Close, daskEnd
	if err := cmd.Start(); err != nil {
		return err
	}
	late := time.AfterFunc(daskStart, run.end)
	defer late.Stop()
	content, err := greet(stdin, stdout, arguments)
	if err == nil {
		late.Stop()
		d.started(run, content)
		_, err = io.Copy(io.Discard, stdout) // up to its end
	} else {
		run.end()
	}
	_ = cmd.Wait() // it was told to end, or said what was wrong
	return err
}

// greet hands the arguments over and reads the answer.
func greet(stdin io.Writer, stdout io.Reader, arguments json.RawMessage) (json.RawMessage, error) {
	var line bytes.Buffer
	if err := json.Compact(&line, arguments); err != nil {
		return nil, err
	}
	line.WriteByte('\n')
	if _, err := stdin.Write(line.Bytes()); err != nil {
		return nil, err
	}
	text, err := bufio.NewReader(io.LimitReader(stdout, daskLine)).ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("it ended before it answered, with: %w; the controller's log may say more", err)
	}
	var said struct{ Status, Ename, Evalue string }
	if err := json.Unmarshal(text, &said); err != nil {
		return nil, err
	}
	if said.Status != "ok" {
		return nil, wire.NewRemoteError(said.Ename, said.Evalue)
	}
	return bytes.TrimSpace(text), nil
}

// started tells those who wait.
func (d *dask) started(run *daskRun, content json.RawMessage) {
	d.log.Info("dask.distributed scheduler is running", "info", string(content))
	d.mu.Lock()
	defer d.mu.Unlock()
	run.content = content
	for _, answer := range run.waiting {
		answer(content, nil)
	}
	run.waiting = nil
}
