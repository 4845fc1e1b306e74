package worker

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// ErrUnsupported is returned by Start on systems where the native worker does not run.
var ErrUnsupported = errors.New("the native engine's Python worker needs a Unix system; use --engine-cmd 'python -m ipyparallel.engine' instead")

// ErrExited is returned when a request is sent to a worker that has ended.
var ErrExited = errors.New("the Python worker has ended")

// Handler receives the worker's events. Ready, Reply, Display and Exited are called one at
// a time and in order; Output may be called at any time, on other goroutines. TakeOutput,
// called in Reply, Display or Exited, returns all output that the worker wrote before.
type Handler interface {
	// Ready is called once, when the worker waits for its first request.
	// info is the JSON object of its H frame.
	Ready(p *Process, info []byte)
	// Reply ends the request in progress. Parts of less than 64 KiB share memory, a
	// larger part has its own; they are not modified afterwards.
	Reply(p *Process, r Reply)
	// Display has a message of the request in progress or, from a thread that
	// outlived its request, of the last one.
	Display(p *Process, d Display)
	// Output is called when there is output for TakeOutput: after a short delay, or
	// at once when there is a lot.
	Output(p *Process)
	// Exited is the last call. It is always made, whatever ended the worker.
	Exited(p *Process, e Exit)
}

// Reply is an R frame.
type Reply struct {
	MsgID []byte
	OK    bool
	// Parts are the parts after "ok"; empty unless OK.
	Parts [][]byte
	// The error's name, text, traceback (lines joined by NUL),
	// user_expressions JSON and flags JSON; empty if OK.
	Ename, Evalue, Traceback, UserExpressions, Flags []byte
}

// Display is a D frame.
type Display struct {
	MsgType []byte
	Parent  []byte // msg_id
	Content []byte // JSON
	Buffers [][]byte
}

// Options configure a worker.
type Options struct {
	// Command is the program and its arguments, to which the numbers of the
	// channel's and the fault file's descriptors are added.
	Command []string
	// Source has the parts of the S frame (see Source); empty sends no S frame.
	Source [][]byte
	Dir    string // working directory; "" means this process's
	// Handler must not be nil.
	Handler Handler
	Log     hclog.Logger
}

// Process is a running worker. Its methods are safe for concurrent use. They don't call
// the Handler, so they may be called while locks are held that the Handler takes.
type Process struct {
	opts    Options
	cmd     *exec.Cmd
	conn    *net.UnixConn
	out     output
	fault   *os.File
	started time.Time
	oom     int64 // out-of-memory kills in this control group at the start

	wmu  sync.Mutex // guards wbuf and the writing of frames
	wbuf []byte

	mu     sync.Mutex // guards the fields below; never held together with another
	exited bool
	cause  error // why this process ended it, or nil
	ready  bool
	lost   *time.Timer // kills a worker whose channel has ended

	wg   sync.WaitGroup
	read chan struct{} // closed when the channel's reader has ended
	done chan struct{} // closed after Handler.Exited
}

// The worker's descriptors in addition to the three standard ones.
const (
	channelFD = 3
	faultFD   = 4
)

// Start starts a worker. Its goroutines end, and Done is closed, when the process has
// ended; Stop and Kill end it.
func Start(o Options) (*Process, error) {
	if len(o.Command) == 0 || o.Handler == nil {
		return nil, errors.New("worker: no command or no handler")
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	p := &Process{opts: o, read: make(chan struct{}), done: make(chan struct{})}
	started := make(chan error, 1)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// run starts the process and waits for it on a dedicated thread. The kernel kills the
// worker when that thread dies (see processAttributes), so the thread must live as long
// as the worker.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := p.start(); err != nil {
		started <- err
		return
	}
	p.wg.Go(p.readChannel)
	notify := func() { p.opts.Handler.Output(p) }
	p.wg.Go(func() { p.out.pump(Stdout, notify) })
	p.wg.Go(func() { p.out.pump(Stderr, notify) })
	started <- nil

	waitErr := p.wait()

	// Data that it wrote before it died is still in the channel and in the pipes.
	_ = p.conn.SetReadDeadline(time.Now().Add(2 * time.Second))
	<-p.read
	_ = p.conn.Close()
	p.out.close()
	p.wg.Wait()
	p.opts.Handler.Exited(p, p.exit(waitErr))
	_ = p.fault.Close()
	close(p.done)
}

// wait waits for the end of the process and kills the rest of its process group.
func (p *Process) wait() error {
	pid := p.cmd.Process.Pid
	ended := func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.exited = true
		if p.lost != nil {
			p.lost.Stop()
		}
		killGroup(pid)
	}
	if waitExit(pid) {
		// Not reaped yet, so no other process or group can have its id.
		ended()
		return p.cmd.Wait()
	}
	err := p.cmd.Wait()
	ended()
	return err
}

// start creates the channel, the pipes and the process.
func (p *Process) start() (err error) {
	conn, channel, err := channelPair()
	if err != nil {
		return err
	}
	defer channel.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	defer null.Close()
	fault, err := faultFile()
	if err != nil {
		return errors.Join(fmt.Errorf("file for the worker's fault report: %w", err), conn.Close())
	}
	stdout, stderr, err := p.out.open()
	if err != nil {
		return errors.Join(err, conn.Close(), fault.Close())
	}
	defer stdout.Close()
	defer stderr.Close()

	args := append(append([]string(nil), p.opts.Command[1:]...), strconv.Itoa(channelFD), strconv.Itoa(faultFD))
	p.cmd = exec.Command(p.opts.Command[0], args...)
	p.cmd.Dir = p.opts.Dir
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = null, stdout, stderr
	p.cmd.ExtraFiles = []*os.File{channel, fault}
	p.cmd.SysProcAttr = processAttributes()
	p.conn, p.fault = conn, fault
	p.oom = oomKills()
	p.started = time.Now()
	if err := p.cmd.Start(); err != nil {
		p.out.close()
		return errors.Join(fmt.Errorf("start the Python worker: %w", err), conn.Close(), fault.Close())
	}
	if len(p.opts.Source) > 0 {
		f := frame{kind: kindSource, parts: p.opts.Source}
		p.opts.Source = nil
		p.wmu.Lock() // released by the goroutine: the S frame must be written first
		p.wg.Go(func() {
			defer p.wmu.Unlock()
			p.writeLocked(&f)
		})
	}
	return nil
}

// readChannel passes the worker's frames to the handler until the channel ends.
func (p *Process) readChannel() {
	defer close(p.read)
	r := bufio.NewReaderSize(p.conn, 8<<10)
	for {
		var f frame
		err := f.read(r)
		if err == nil {
			err = p.handle(&f)
		}
		switch {
		case p.isKilled():
			return // its frames no longer matter
		case err == nil:
		case errors.Is(err, errNotFrame):
			p.kill(err)
			return
		default:
			p.lostChannel(err)
			return
		}
	}
}

// lostChannel gives a worker whose channel has ended a moment to end too, and then kills
// it.
func (p *Process) lostChannel(err error) {
	if !errors.Is(err, io.EOF) {
		p.opts.Log.Debug("worker channel ended", "error", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.exited {
		p.lost = time.AfterFunc(time.Second, func() { p.kill(errLostChannel) })
	}
}

// handle decodes one frame and calls the handler.
func (p *Process) handle(f *frame) error {
	switch {
	case f.kind == kindHello && len(f.parts) >= 1:
		p.mu.Lock()
		p.ready = true
		p.mu.Unlock()
		p.opts.Handler.Ready(p, f.parts[0])
	case f.kind == kindReply && len(f.parts) >= 2:
		r := Reply{MsgID: f.parts[0]}
		rest := f.parts[2:]
		switch string(f.parts[1]) {
		case "ok":
			r.OK, r.Parts = true, rest
		case "error":
			for i, field := range []*[]byte{&r.Ename, &r.Evalue, &r.Traceback, &r.UserExpressions, &r.Flags} {
				if i < len(rest) {
					*field = rest[i]
				}
			}
		default:
			return fmt.Errorf("%w (a reply that is neither ok nor error)", errNotFrame)
		}
		p.opts.Handler.Reply(p, r)
	case f.kind == kindDisplay && len(f.parts) >= 3:
		p.opts.Handler.Display(p, Display{MsgType: f.parts[0], Parent: f.parts[1], Content: f.parts[2], Buffers: f.parts[3:]})
	default:
		return fmt.Errorf("%w (kind %q with %d parts)", errNotFrame, f.kind, len(f.parts))
	}
	return nil
}

// send writes a frame: a small one before it returns, a larger one on a goroutine, because
// the worker may read slowly. The parts of a larger frame must not be modified until the
// request has ended. A failed write means that the worker is ending, which the handler
// learns from Exited.
func (p *Process) send(f *frame) error {
	if f.size() > smallFrame {
		return p.sendLater(f)
	}
	if p.hasExited() {
		return ErrExited
	}
	p.write(f)
	return nil
}

func (p *Process) sendLater(f *frame) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.exited {
		return ErrExited
	}
	p.wg.Go(func() { p.write(f) })
	return nil
}

func (p *Process) write(f *frame) {
	p.wmu.Lock()
	defer p.wmu.Unlock()
	p.writeLocked(f)
}

func (p *Process) writeLocked(f *frame) {
	var err error
	if f.size() <= smallFrame {
		p.wbuf = f.appendAll(p.wbuf[:0])
		_, err = p.conn.Write(p.wbuf)
		if cap(p.wbuf) > 16<<10 {
			p.wbuf = nil
		}
	} else {
		b := f.buffers()
		_, err = b.WriteTo(p.conn)
	}
	if err != nil {
		p.opts.Log.Debug("write to the worker", "kind", string(f.kind), "error", err)
	}
}

// Hello sends the worker its first request, after which it reports that it is ready. v is
// a JSON object with engine_id and uuid.
func (p *Process) Hello(v []byte) error {
	// The worker may not have read the source frame yet.
	return p.sendLater(&frame{kind: kindHello, parts: [][]byte{v}})
}

// Apply sends an apply request. session identifies the client's session.
func (p *Process) Apply(msgID string, session int, buffers [][]byte) error {
	parts := make([][]byte, 0, 2+len(buffers))
	parts = append(parts, []byte(msgID), strconv.AppendInt(nil, int64(session), 10))
	return p.send(&frame{kind: kindApply, parts: append(parts, buffers...)})
}

// Execution is an execute request.
type Execution struct {
	MsgID           string
	Code            string
	Count           int    // the execution count
	UserExpressions []byte // a JSON object, or empty
	Silent          bool
	StoreHistory    bool
}

// Execute sends an execute request.
func (p *Process) Execute(e Execution) error {
	f := frame{kind: kindExecute, parts: [][]byte{
		[]byte(e.MsgID), []byte(e.Code), strconv.AppendInt(nil, int64(e.Count), 10), e.UserExpressions,
	}}
	if e.Silent {
		f.flags |= flagSilent
	}
	if e.StoreHistory {
		f.flags |= flagStoreHistory
	}
	return p.send(&f)
}

// Clear sends a request for an empty namespace.
func (p *Process) Clear(msgID string) error {
	return p.send(&frame{kind: kindClear, parts: [][]byte{[]byte(msgID)}})
}

// Jupyter sends another request of the Jupyter protocol with its content.
func (p *Process) Jupyter(msgID, msgType string, content []byte) error {
	return p.send(&frame{kind: kindJupyter, parts: [][]byte{[]byte(msgID), []byte(msgType), content}})
}

// Pid returns the worker's process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done returns a channel that is closed after the handler's Exited.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal sends a signal to the worker. The caller must not send SIGINT unless a request is
// in progress: it would be lost, or interrupt the next request.
func (p *Process) Signal(sig os.Signal) error {
	if p.hasExited() {
		return ErrExited
	}
	if err := p.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("signal the worker: %w", err)
	}
	return nil
}

// Stop ends the worker. It asks the worker to quit, so that exit handlers of user code run,
// and kills it and its process group after grace, or at once if grace is 0. Stop returns
// after the handler's Exited, so the caller must not hold the handler's locks.
func (p *Process) Stop(grace time.Duration) {
	if grace > 0 && p.send(&frame{kind: kindQuit}) == nil {
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-p.done:
			return
		case <-t.C:
		}
	}
	p.kill(errStopped)
	<-p.done
}

// Causes for which this process kills a worker.
var (
	errStopped     = errors.New("was stopped")
	errLostChannel = errors.New("lost its channel to the engine (was its file descriptor closed?)")
)

// Kill kills the worker and its process group without waiting. The handler's Exited gets
// the first cause.
func (p *Process) Kill(cause error) { p.kill(cause) }

// Alive reports whether the process is running. Once it is false, Exited has been called
// or is about to be.
func (p *Process) Alive() bool { return !p.hasExited() }

// kill kills the process group; only the first cause is reported.
func (p *Process) kill(cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.exited {
		return
	}
	if p.cause == nil {
		p.cause = cause
	}
	killGroup(p.cmd.Process.Pid)
}

func (p *Process) isKilled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cause != nil
}

func (p *Process) hasExited() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exited
}
