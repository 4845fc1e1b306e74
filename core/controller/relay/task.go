package relay

import (
	"context"
	"time"

	"github.com/ipcore/ipcore/core/controller/scheduler"
	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/wire"
)

// Task is the relay of load-balanced tasks: sockets and a scheduler, or, with the
// scheme "pure", sockets that give tasks to engines in turn.
type Task struct {
	Clients *sockets.Socket // ROUTER; the owner makes it listen
	Engines *sockets.Socket // ROUTER, or DEALER for the scheme "pure"; likewise

	o     Options
	sched *scheduler.Scheduler // nil for the scheme "pure"
	drops dropLog
}

// SchemePure is the scheme that needs no scheduler: no dependencies, targets,
// retries or timeouts, and a task is lost with its engine.
const SchemePure = "pure"

// CheckScheme returns an error unless name is a scheme of the task queue.
func CheckScheme(name string) error {
	if name == SchemePure {
		return nil
	}
	return scheduler.CheckScheme(name)
}

// noClient is the routing id for tasks whose replies nobody waits for. No peer of a
// ROUTER can have it.
var noClient = []byte("\x00hub")

// NewTask returns the relay. scheme is SchemePure or one of the scheduler's; hwm is
// the scheduler's.
func NewTask(scheme string, hwm int, o Options) (*Task, error) {
	t := &Task{o: o, drops: dropLog{log: o.Log}}
	if scheme == SchemePure {
		t.Clients = o.clientSocket("task_in", t.pureFromClient)
		t.Engines = o.engineSocket(sockets.Dealer, "task_out", t.pureFromEngine)
		return t, nil
	}
	var err error
	t.sched, err = scheduler.New(scheduler.Options{
		Session: o.Session, Scheme: scheme, HWM: hwm, Link: &taskLink{Task: t}, Monitor: o.Monitor, Log: o.Log,
	})
	if err != nil {
		return nil, err
	}
	connected := o.Connected
	o.Connected = func(uuid string) {
		t.sched.EngineBack(uuid)
		if connected != nil {
			connected(uuid)
		}
	}
	o.processPending = t.sched.ProcessPending
	t.Clients = o.clientSocket("task_in", t.fromClient)
	t.Engines = o.engineSocket(sockets.Router, "task_out", t.fromEngine)
	return t, nil
}

// Run runs the scheduler until ctx ends.
func (t *Task) Run(ctx context.Context) error {
	if t.sched == nil {
		<-ctx.Done()
		return nil
	}
	return t.sched.Run(ctx)
}

// EngineUp reports that an engine was registered.
func (t *Task) EngineUp(uuid string) {
	if t.sched != nil {
		t.sched.EngineUp(uuid)
	}
}

// EngineDown reports that an engine is not registered any more. The tasks that it
// ran get a reply.
func (t *Task) EngineDown(uuid string) {
	if t.sched != nil {
		t.sched.EngineDown(uuid)
	}
}

// Submit submits a task that no client sent, but the hub, which resubmits it. The
// frames begin at the delimiter and belong to the relay from here on.
func (t *Task) Submit(msg [][]byte) error {
	if t.sched == nil {
		return t.pureSubmit(noClient, msg)
	}
	if err := t.sched.Submit(noClient, msg); err != nil {
		return err
	}
	t.sched.ProcessPending()
	return nil
}

func (t *Task) fromClient(c *sockets.Conn, frames [][]byte) {
	if err := t.sched.Submit(c.Identity(), sockets.Retain(frames)); err != nil {
		t.drops.drop(c.RemoteAddr(), err)
		return
	}
	c.Trust()
	c.ExpectReplies(1)
}

// fromEngine receives [C, M]. C is ignored, because the scheduler knows the task's
// client.
func (t *Task) fromEngine(c *sockets.Conn, frames [][]byte) {
	err := wire.ErrMalformed
	if len(frames) > 1 {
		err = t.sched.Result(string(c.Identity()), sockets.Retain(frames[1:]))
	}
	if err != nil {
		t.drops.drop(c.RemoteAddr(), err)
		return
	}
	c.Trust()
}

// Close closes the sockets, writing what is queued for at most linger.
func (t *Task) Close(linger time.Duration) { closeAll(linger, t.Engines, t.Clients) }

// taskLink sends the scheduler's messages, on one goroutine at a time.
type taskLink struct {
	*Task
	frames [][]byte // reused by each call
}

func (l *taskLink) ToEngine(uuid string, client []byte, msg [][]byte) error {
	e := l.Engines.Lookup([]byte(uuid))
	if e == nil {
		return sockets.ErrNoPeer
	}
	return e.Enqueue(l.prepend(client, msg)...)
}

func (l *taskLink) ToClient(client []byte, engine string, msg [][]byte) {
	c := l.Clients.Lookup(client)
	if c == nil {
		return
	}
	if engine != "" {
		msg = l.prepend([]byte(engine), msg)
	}
	c.ExpectReplies(-1)
	if err := c.Enqueue(msg...); err != nil {
		l.drops.log.Warn("reply not sent to the client", "peer", c.RemoteAddr(), "error", err)
	}
}

func (l *taskLink) NoReply(client []byte) {
	if c := l.Clients.Lookup(client); c != nil {
		c.ExpectReplies(-1)
	}
}

func (l *taskLink) prepend(first []byte, msg [][]byte) [][]byte {
	l.frames = append(append(l.frames[:0], first), msg...)
	return l.frames
}

func (l *taskLink) Flush() { sockets.FlushAll() }
