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

// Link sends the scheduler's messages. One goroutine at a time calls it.
type Link interface {
	// ToEngine queues a task. An error means that the engine does not get it, and
	// that EngineBack will be called when the engine can be reached.
	ToEngine(uuid string, client []byte, msg [][]byte) error
	// ToClient queues a reply; engine is "" for a reply of the scheduler itself. A
	// reply to a client that has disconnected is dropped.
	ToClient(client []byte, engine string, msg [][]byte)
	// NoReply reports that a task of this client ended without a reply.
	NoReply(client []byte)
	// Flush writes what is queued.
	Flush()
}

// Options describe a Scheduler.
type Options struct {
	Session  *wire.Session // verifies tasks and replies, signs errors
	Scheme   string        // "" is DefaultScheme
	HWM      int           // tasks outstanding per engine: a number, 0 for 1, or Unlimited
	MaxBytes int64         // limit on the bytes of all tasks that have not ended, beyond which Submit waits: 0 is 4 GiB
	Link     Link
	Monitor  monitor.Tasks
	Log      hclog.Logger
}

// Scheduler is a running task queue. Submit and Result are for reader goroutines
// and only put a message into the inbox. ProcessPending then handles the messages
// of all readers, on the goroutine of the first reader that calls it, so that no
// other goroutine has to be woken.
type Scheduler struct {
	session       *wire.Session
	link          Link
	monitor       monitor.Tasks
	log           hclog.Logger
	inbox         inbox
	memory        byteLimiter
	statsRequests chan chan<- Stats
	done          chan struct{}

	// running is held by the goroutine that runs the machine. It guards the fields
	// below.
	running sync.Mutex
	machine *machine
	spare   []message // memory for the inbox
	alarm   time.Time // when Run wakes up for a timeout; zero is never
}

const (
	inboxSize       = 1024 // messages that may wait before their readers wait, too
	batchSize       = 256  // messages between two flushes
	maxRounds       = 8    // batches that a reader handles in a row
	defaultMaxBytes = 4 << 30
)

// New returns a Scheduler; Run starts it.
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

// Run handles timeouts, changes of engines and the messages that ProcessPending has
// left, until ctx ends. It is called once.
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
		case result := <-s.statsRequests:
			s.running.Lock()
			st := s.stats()
			s.running.Unlock()
			result <- st
		}
		s.running.Lock()
		at, any := s.machine.nextAlarm()
		s.alarm = at
		s.running.Unlock()
		if any {
			alarm.Reset(time.Until(at))
		}
		s.ProcessPending() // messages that came while Run held the mutex
	}
}

// ProcessPending handles the messages and changes in the inbox. If another
// goroutine is doing so, it returns at once: that goroutine handles them.
func (s *Scheduler) ProcessPending() {
	for range maxRounds {
		if s.inbox.empty() || !s.running.TryLock() {
			return // the goroutine that holds the mutex looks at the inbox again when it has unlocked it
		}
		s.process()
		s.running.Unlock()
	}
	s.inbox.wake()
}

// process handles everything in the inbox. The loss of an engine comes after the
// replies that the engine had sent, and before the tasks that came with them. The
// caller holds s.running.
func (s *Scheduler) process() {
	messages, changes := s.inbox.take(s.spare)
	for _, c := range changes {
		switch c.change {
		case up:
			s.machine.engineUp(c.uuid)
		case back:
			s.machine.engineBack(c.uuid)
		case down:
			for i, m := range messages {
				if m.reply != nil {
					s.handle(m)
					messages[i] = message{}
				}
			}
			s.machine.engineDown(c.uuid)
		}
	}
	for i, m := range messages {
		s.handle(m)
		if (i+1)%batchSize == 0 {
			s.link.Flush()
		}
	}
	s.link.Flush()
	clear(messages)
	s.spare = messages[:0]
	if at, any := s.machine.nextAlarm(); any && (s.alarm.IsZero() || at.Before(s.alarm)) {
		s.alarm = at
		s.inbox.wake()
	}
}

func (s *Scheduler) handle(m message) {
	switch {
	case m.task != nil:
		if !s.machine.submit(m.task) {
			s.memory.release(m.task.size)
			s.machine.counters.duplicates++
			s.link.NoReply(m.task.client)
			s.log.Warn("task dropped: its msg_id was submitted before", "msg_id", m.task.id)
		}
	case m.reply != nil:
		if !s.machine.result(m.reply) {
			s.log.Debug("reply dropped: the engine does not run this task", "msg_id", m.reply.answer.ID, "engine", m.reply.engine)
		}
	}
}

// Submit puts a task into the inbox, and waits first while tasks take too much
// memory. client is the routing id of the task's client, nil for a task whose reply
// nobody waits for. msg begins at the delimiter and belongs to the scheduler from
// here on. An error says why the message was dropped.
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
		s.ProcessPending() // the messages that this reader has brought may free memory
		s.memory.acquire(t.size)
	}
	s.monitor.Submitted(msg, monitor.Submission{ID: header.MsgID, Session: header.Session, Date: header.Date, Label: meta.Label})
	return s.post(message{task: t})
}

// Result puts an engine's reply into the inbox. msg begins at the delimiter and
// belongs to the scheduler from here on. An error says why the message was dropped.
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

// post adds a message to the inbox. If very many wait, it helps to handle them.
func (s *Scheduler) post(m message) error {
	n, ok := s.inbox.put(m)
	if !ok {
		return errors.New("message dropped: the scheduler has stopped")
	}
	if n >= inboxSize {
		s.running.Lock()
		s.process()
		s.running.Unlock()
		s.ProcessPending()
	}
	return nil
}

// EngineUp adds a registered engine. Tasks submitted after it has returned can run
// on the engine. It never waits.
func (s *Scheduler) EngineUp(uuid string) { s.inbox.putChange(engineChange{uuid, up}) }

// EngineBack reports that a registered engine is connected again.
func (s *Scheduler) EngineBack(uuid string) { s.inbox.putChange(engineChange{uuid, back}) }

// EngineDown removes an engine. Replies that the engine sent before are still
// accepted.
func (s *Scheduler) EngineDown(uuid string) { s.inbox.putChange(engineChange{uuid, down}) }

// messenger turns the machine's decisions into messages.
type messenger struct{ *Scheduler }

func (s messenger) assign(uuid string, t *task) error {
	if t.round != t.sentRound {
		if err := s.makeUnique(t); err != nil {
			return err
		}
	}
	if err := s.link.ToEngine(uuid, t.client, t.msg); err != nil {
		return err
	}
	s.monitor.Assigned(t.id, uuid)
	return nil
}

// makeUnique changes the bytes of a task that is sent to an engine again, because
// engines drop messages that they have seen. Its metadata gets one more key.
func (s messenger) makeUnique(t *task) error {
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

// replyError replies to a task with an error. engine is the uuid of a lost engine
// in whose place it replies, or "".
func (s messenger) replyError(t *task, engine string, metadata any, cause *wire.RemoteError) {
	s.memory.release(t.size)
	m, err := s.session.Message("apply_reply", t.header, metadata, cause)
	if err != nil {
		s.log.Error("error reply not packed: the task's client gets no reply", "msg_id", t.id, "error", err)
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
