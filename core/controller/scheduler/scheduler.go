package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/controller/monitor"
	"github.com/ipcore/ipcore/core/wire"
)

// Unlimited as Options.HWM lets any number of tasks be outstanding on an
// engine.
const Unlimited = -1

// Link is how messages leave. It is used by one goroutine at a time.
type Link interface {
	// ToEngine queues a task. An error means that the engine does not get
	// it, and that EngineBack will be called when it can be sent to.
	ToEngine(uuid string, client []byte, msg [][]byte) error
	// ToClient queues a reply; engine is "" for one of the scheduler's own.
	// A client that has left is none of the scheduler's business.
	ToClient(client []byte, engine string, msg [][]byte)
	// NoReply tells that a task of this client ended without one.
	NoReply(client []byte)
	// Flush writes what is queued.
	Flush()
}

// Options describe a Scheduler.
type Options struct {
	Session  *wire.Session // verifies tasks and replies, signs errors
	Scheme   string        // "" is DefaultScheme
	HWM      int           // tasks outstanding per engine: 0 is 1, else Unlimited or a number
	MaxBytes int64         // of all tasks that have not ended; Submit waits beyond it: 0 is 4 GiB
	Link     Link
	Monitor  monitor.Tasks
	Log      hclog.Logger
}

// Scheduler is a running task queue. Submit and Result are for reader
// goroutines. They only hand over; Settle handles what has been handed over, on
// the goroutine of whoever calls it first: a message needs no other goroutine to
// be woken, and what many readers have brought is handled in one go.
type Scheduler struct {
	session       *wire.Session
	link          Link
	monitor       monitor.Tasks
	log           hclog.Logger
	inbox         inbox
	memory        byteLimiter
	statsRequests chan chan<- Stats
	done          chan struct{}

	// turn is held by who runs the machine. It guards what follows.
	running sync.Mutex
	machine *machine
	spare   []message // for the inbox
	alarm   time.Time // the alarm that Run waits for; zero is none
}

const (
	inboxSize       = 1024 // messages that wait for the machine before their readers do
	batchSize       = 256  // messages between two flushes
	maxRounds       = 8    // batches of others that a reader handles in a row
	defaultMaxBytes = 4 << 30
)

// New makes a Scheduler; Run starts it.
func New(o Options) (*Scheduler, error) {
	if err := CheckScheme(o.Scheme); err != nil {
		return nil, err
	}
	hwm := max(o.HWM, 0)
	if o.HWM == 0 {
		hwm = 1
	}
	s := &Scheduler{
		session: o.Session, link: o.Link, monitor: o.Monitor, log: o.Log,
		inbox: inbox{wakeup: make(chan struct{}, 1)}, statsRequests: make(chan chan<- Stats), done: make(chan struct{}),
	}
	s.memory.limit = o.MaxBytes
	if s.memory.limit <= 0 {
		s.memory.limit = defaultMaxBytes
	}
	s.memory.changed.L = &s.memory.mu
	rng := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	s.machine = newMachine(o.Scheme, hwm, messenger{s}, o.Log, rng)
	return s, nil
}

// Run handles timeouts, engines' comings and goings, and what Settle has left,
// until ctx ends. It is called once.
func (s *Scheduler) Run(ctx context.Context) error {
	defer s.memory.disable()
	defer close(s.done)
	defer s.inbox.close()
	alarm := time.NewTimer(time.Hour)
	defer alarm.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.inbox.wakeup:
			s.ProcessPending()
		case <-alarm.C:
			s.running.Lock()
			s.machine.expire(time.Now())
			s.link.Flush()
			s.running.Unlock()
		case answer := <-s.statsRequests:
			s.running.Lock()
			st := s.stats()
			s.running.Unlock()
			answer <- st
		}
		s.running.Lock()
		at, any := s.machine.nextAlarm()
		s.alarm = at
		s.running.Unlock()
		if any {
			alarm.Reset(time.Until(at))
		}
		s.ProcessPending() // what came while the turn was Run's
	}
}

// Settle handles what has been handed over, unless another goroutine is at it
// and sees to that too.
func (s *Scheduler) ProcessPending() {
	for range maxRounds {
		if s.inbox.empty() || !s.running.TryLock() {
			return // who has the turn looks again when it has given it up
		}
		s.process()
		s.running.Unlock()
	}
	s.inbox.wake()
}

// work handles what waits in the inbox. A lost engine goes after the replies
// that it had sent, and before the tasks that came with them. The caller has
// the turn.
func (s *Scheduler) process() {
	events, news := s.inbox.take(s.spare)
	for _, n := range news {
		switch n.what {
		case up:
			s.machine.engineUp(n.uuid)
		case back:
			s.machine.engineBack(n.uuid)
		case down:
			for i, ev := range events {
				if ev.reply != nil {
					s.handle(ev)
					events[i] = message{}
				}
			}
			s.machine.engineDown(n.uuid)
		}
	}
	for i, ev := range events {
		s.handle(ev)
		if (i+1)%batchSize == 0 {
			s.link.Flush()
		}
	}
	s.link.Flush()
	clear(events)
	s.spare = events[:0]
	if at, any := s.machine.nextAlarm(); any && (s.alarm.IsZero() || at.Before(s.alarm)) {
		s.alarm = at
		s.inbox.wake()
	}
}

func (s *Scheduler) handle(ev message) {
	switch {
	case ev.task != nil:
		if !s.machine.submit(ev.task) {
			s.memory.release(ev.task.size)
			s.machine.counters.duplicates++
			s.link.NoReply(ev.task.client)
			s.log.Warn("task dropped: its msg_id was submitted before", "msg_id", ev.task.id)
		}
	case ev.reply != nil:
		if !s.machine.result(ev.reply) {
			s.log.Debug("reply dropped: the engine does not run this task", "msg_id", ev.reply.answer.ID, "engine", ev.reply.engine)
		}
	}
}

// Submit takes a task, or waits until there is room for it, for Settle to handle: frames from the delimiter on, which it now owns, of the
// client with this routing id. nil is for tasks whose replies nobody awaits.
// An error says why the message was dropped.
func (s *Scheduler) Submit(client []byte, msg [][]byte) error {
	m, err := s.session.Peek(msg)
	if err != nil {
		return fmt.Errorf("task dropped: %w", err)
	}
	header, err := wire.ViewHeader(m.Header)
	if err != nil {
		return fmt.Errorf("task dropped: %w", err)
	}
	if header.MsgID == "" {
		return errors.New("task dropped: no msg_id in its header")
	}
	meta, err := wire.ViewMetadata(m.Metadata)
	if err != nil {
		return fmt.Errorf("task dropped: %w", err)
	}
	t := newTask(client, msg, m.Header, header.MsgID, meta)
	if !s.memory.tryAcquire(t.size) {
		s.ProcessPending() // what this reader has brought may make room
		s.memory.acquire(t.size)
	}
	s.monitor.Submitted(msg, monitor.Submission{ID: header.MsgID, Session: header.Session, Date: header.Date, Label: meta.Label})
	return s.post(message{task: t})
}

// Result takes an engine's reply, for Settle to handle: frames from the
// delimiter on, which it now owns. An error says why the message was dropped.
func (s *Scheduler) Result(engine string, msg [][]byte) error {
	m, err := s.session.Peek(msg)
	if err != nil {
		return fmt.Errorf("reply dropped: %w", err)
	}
	parent, err := wire.ViewHeader(m.Parent)
	if err != nil {
		return fmt.Errorf("reply dropped: %w", err)
	}
	meta, err := wire.ViewMetadata(m.Metadata)
	if err != nil {
		return fmt.Errorf("reply dropped: %w", err)
	}
	return s.post(message{reply: &reply{
		engine: engine, msg: msg,
		answer: monitor.Answer{ID: parent.MsgID, Status: meta.Status, Engine: meta.Engine, Started: meta.Started},
		ok:     meta.Status == "ok" || meta.Status == "", unmet: meta.DependenciesUnmet,
	}})
}

// post hands a message over. When very many wait, it first helps to handle them.
func (s *Scheduler) post(ev message) error {
	n, ok := s.inbox.put(ev)
	if !ok {
		return errors.New("message dropped: the task queue has stopped")
	}
	if n >= inboxSize {
		s.running.Lock()
		s.process()
		s.running.Unlock()
		s.ProcessPending()
	}
	return nil
}

// EngineUp adds a registered engine. A task submitted after it returned sees
// the engine. It never waits.
func (s *Scheduler) EngineUp(uuid string) { s.inbox.putEngine(engineEvent{uuid, up}) }

// EngineBack tells that a registered engine's connection is there again.
func (s *Scheduler) EngineBack(uuid string) { s.inbox.putEngine(engineEvent{uuid, back}) }

// EngineDown removes an engine. Replies that it sent before are still taken.
func (s *Scheduler) EngineDown(uuid string) { s.inbox.putEngine(engineEvent{uuid, down}) }

// effectsOf turns the machine's decisions into messages.
type messenger struct{ *Scheduler }

func (s messenger) assign(uuid string, t *task) error {
	if t.round != t.sentRound {
		if err := s.resign(t); err != nil {
			return err
		}
	}
	if err := s.link.ToEngine(uuid, t.client, t.msg); err != nil {
		return err
	}
	s.monitor.Assigned(t.id, uuid)
	return nil
}

// renew changes the bytes of a task that goes to engines a second time, for
// they drop messages that they have seen. Its metadata gets one more key.
func (s messenger) resign(t *task) error {
	m, err := wire.Parse(t.msg)
	if err != nil {
		return err
	}
	var fields map[string]json.RawMessage
	if err := s.session.Unpack(m.Metadata, &fields); err != nil {
		return err
	}
	fields["round"] = json.RawMessage(strconv.Itoa(t.round))
	text, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	if m.Metadata, err = s.session.PackJSON(text); err != nil {
		return err
	}
	m.Signature = s.session.Signer().Sign(&m)
	t.msg = m.AppendFrames(nil)
	t.sentRound = t.round
	return nil
}

func (s messenger) relay(t *task, r *reply) {
	s.memory.release(t.size)
	s.link.ToClient(t.client, r.engine, r.msg)
	s.monitor.Answered(r.msg, r.answer)
}

func (s messenger) fail(t *task, ename string) {
	s.replyError(t, "", nil, wire.NewRemoteError(ename, ""))
}

func (s messenger) lost(t *task, uuid string) {
	s.replyError(t, uuid, map[string]string{
		"status": "error", "engine": uuid, "date": wire.FormatDate(time.Now()),
	}, wire.NewRemoteError("EngineError", fmt.Sprintf("Engine b'%s' died while running task '%s'", uuid, t.id)))
}

// answer replies to a task in an engine's stead.
func (s messenger) replyError(t *task, engine string, metadata any, cause *wire.RemoteError) {
	s.memory.release(t.size)
	m, err := s.session.Message("apply_reply", t.header, metadata, cause)
	if err != nil {
		s.log.Error("a task's error could not be packed, its client gets no reply", "msg_id", t.id, "error", err)
		s.link.NoReply(t.client)
		return
	}
	msg := m.AppendFrames(nil)
	s.link.ToClient(t.client, engine, msg)
	a := monitor.Answer{ID: t.id, Engine: engine}
	if engine != "" {
		a.Status = "error"
	}
	s.monitor.Answered(msg, a)
}

// gate bounds the bytes of tasks that have not ended. A client whose task has
// to wait is not read any further, so the network holds it back. What it sent
// before runs on and makes room, for tasks depend on earlier ones only.
type byteLimiter struct {
	limit    int64
	mu       sync.Mutex
	held     int64
	disabled bool
	changed  sync.Cond
}

// tryEnter is enter for who must not wait; false is no room.
func (g *byteLimiter) tryAcquire(n int64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held >= g.limit && !g.disabled {
		return false
	}
	g.held += n
	return true
}

// enter waits while the bytes held reach the limit: one task may go over it.
func (g *byteLimiter) acquire(n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.held >= g.limit && !g.disabled {
		g.changed.Wait()
	}
	g.held += n
}

func (g *byteLimiter) release(n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	full := g.held >= g.limit
	g.held -= n
	if full && g.held < g.limit {
		g.changed.Broadcast()
	}
}

// open lets everybody through for good.
func (g *byteLimiter) disable() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.disabled = true
	g.changed.Broadcast()
}
