package scheduler

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
)

// effects is what a machine does outside of itself.
type effects interface {
	// assign sends a task to an engine. An error means that the engine did not get
	// it and is not reachable for now.
	assign(uuid string, t *task) error
	// relay sends an engine's reply to the task's client.
	relay(t *task, r *reply)
	// fail replies to a task that never ran, or cannot run again, with an error.
	fail(t *task, ename string)
	// lost replies to a task whose engine was lost.
	lost(t *task, uuid string)
}

// machine is the state of the task queue. Its methods are the events; none of them
// waits. One goroutine at a time may call them.
type machine struct {
	scheme  Scheme
	hwm     int // tasks outstanding per engine; 0 is unlimited
	rng     *rand.Rand
	effects effects
	log     hclog.Logger
	now     func() time.Time

	tasks    map[string]*task // by msg_id, not ended
	outcomes *outcomes
	toNotify []ending // ended tasks whose dependants have not been notified yet
	arrivals uint64
	counters counters

	engines    map[string]*engine
	byNumber   map[uint32]*engine
	lastNumber uint32
	lastUse    int64 // the highest engine.lastUse
	firstUse   int64 // the lowest one
	pool       pool

	any             *class            // tasks that any engine may take
	wideClasses     []*class          // waiting tasks that may not run on some engines
	classes         map[string]*class // all classes in which tasks wait, except any, by key
	alarms          heap[*task]       // waiting tasks with a timeout, by deadline
	warnedNoEngines bool              // the log says already that there are no engines
}

type ending struct {
	*task
	outcome
}

func newMachine(scheme string, hwm int, fx effects, log hclog.Logger, rng *rand.Rand) *machine {
	if scheme == "" {
		scheme = DefaultScheme
	}
	return &machine{
		scheme: schemes[scheme], hwm: hwm, rng: rng, effects: fx, log: log, now: time.Now,
		tasks: map[string]*task{}, outcomes: newOutcomes(maxOutcomes),
		engines: map[string]*engine{}, byNumber: map[uint32]*engine{}, pool: newPool(scheme, rng),
		any: newClass(""), classes: map[string]*class{},
		alarms: heap[*task]{
			less:     func(a, b *task) bool { return a.deadline.Before(b.deadline) },
			setIndex: func(t *task, i int) { t.alarmIndex = i },
		},
	}
}

// submit takes a new task. It returns false for a msg_id that was submitted before:
// no task is run twice.
func (m *machine) submit(t *task) bool {
	if _, _, known := m.outcome(t.id); known {
		return false
	}
	m.arrivals++
	t.arrival = m.arrivals
	m.tasks[t.id] = t
	defer m.notifyDependants()
	for _, p := range []*progress{t.after, t.follow} {
		if p != nil && !m.trackDependency(t, p) {
			m.fail(t, "InvalidDependency")
			return true
		}
	}
	if t.after.unsatisfiable() || t.follow.unsatisfiable() || !m.resolveTargets(t) {
		m.fail(t, "ImpossibleDependency")
		return true
	}
	m.schedule(t)
	return true
}

// outcome returns how a task ended, or pending if it has not; known is false for
// ids that were never submitted here.
func (m *machine) outcome(id string) (o outcome, engine uint32, known bool) {
	if _, active := m.tasks[id]; active {
		return pending, 0, true
	}
	return m.outcomes.get(id)
}

// trackDependency counts the tasks that have ended and registers t with the others.
// It returns false for a dependency that is not valid: on t itself, on an unknown
// task, or on neither success nor failure.
func (m *machine) trackDependency(t *task, p *progress) bool {
	if !p.Success && !p.Failure {
		return false
	}
	for _, id := range p.IDs {
		o, _, known := m.outcome(id)
		if !known || id == t.id {
			return false
		}
		if o != pending {
			p.count(o)
		}
	}
	for _, id := range p.IDs {
		if on := m.tasks[id]; on != nil {
			on.dependants = append(on.dependants, dependant{t, p})
		}
	}
	return true
}

// resolveTargets finds the engines that t asks for. It returns false when none of
// them is registered.
func (m *machine) resolveTargets(t *task) bool {
	if len(t.targetUUIDs) == 0 {
		return true
	}
	t.targets = make([]*engine, 0, len(t.targetUUIDs))
	for _, uuid := range t.targetUUIDs {
		if e := m.engines[uuid]; e != nil && !slices.Contains(t.targets, e) {
			t.targets = append(t.targets, e)
		}
	}
	t.targetUUIDs = nil
	return len(t.targets) > 0
}

// schedule runs t, lets it wait for an engine or for other tasks, or fails it. t
// must be neither running nor waiting.
func (m *machine) schedule(t *task) {
	if t.timeout > 0 && t.alarmIndex < 0 {
		t.deadline = m.now().Add(t.timeout)
		m.alarms.push(t)
	}
	if !t.after.fulfilled() {
		return
	}
	c, verdict := m.classify(t)
	switch verdict {
	case parked:
	case impossible:
		m.fail(t, "ImpossibleDependency")
	default:
		m.startOrQueue(t, c)
	}
}

// startOrQueue runs t on an engine that c admits and that has capacity, or queues
// it in c.
func (m *machine) startOrQueue(t *task, c *class) {
	for c.waiting.len() == 0 {
		e := m.pickEngine(c)
		if e == nil {
			break
		}
		if m.assign(t, e) {
			return
		}
	}
	if len(m.engines) == 0 && !m.warnedNoEngines {
		m.warnedNoEngines = true
		m.log.Warn("tasks wait: no engines are registered", "msg_id", t.id)
	}
	if c != m.any && c.waiting.len() == 0 {
		m.addClass(c)
	}
	t.class = c
	c.waiting.push(t)
}

// pickEngine returns the scheme's choice among the engines that c admits and that
// have capacity; nil when there is none.
func (m *machine) pickEngine(c *class) *engine {
	if c.members == nil {
		e := m.pool.pick()
		if e == nil || !slices.Contains(c.excluded, e) {
			return e
		}
	}
	from := c.members
	if from == nil {
		from = m.pool.all()
	}
	var candidates []*engine
	for _, e := range from {
		if e.poolIndex >= 0 && !slices.Contains(c.excluded, e) {
			candidates = append(candidates, e)
		}
	}
	if len(candidates) == 0 {
		return nil
	}
	return choose(m.scheme, candidates, m.rng)
}

// assign starts t on e, which has capacity. When e is not reachable, assign takes
// it out of the pool, leaves t as it was and returns false.
func (m *machine) assign(t *task, e *engine) bool {
	if err := m.effects.assign(e.uuid, t); err != nil {
		m.log.Debug("engine is not reachable, the task waits for another one", "engine", e.uuid, "msg_id", t.id, "error", err)
		e.unreachable = true
		m.updatePool(e)
		return false
	}
	if t.alarmIndex >= 0 {
		m.alarms.remove(t.alarmIndex)
	}
	m.lastUse++
	e.lastUse = m.lastUse
	e.load++
	t.engine, t.runningIndex = e, len(e.running)
	e.running = append(e.running, t)
	m.updatePool(e)
	return true
}

// release takes t off its engine.
func (m *machine) release(t *task) {
	e := t.engine
	last := len(e.running) - 1
	e.running[t.runningIndex] = e.running[last]
	e.running[t.runningIndex].runningIndex = t.runningIndex
	e.running[last] = nil
	e.running = e.running[:last]
	t.engine = nil
	e.load--
	e.unreachable = false // it replied, so it can be reached
	m.updatePool(e)
}

// updatePool brings the pool up to date with e.
func (m *machine) updatePool(e *engine) {
	free := !e.removed && !e.unreachable && (m.hwm == 0 || e.load < m.hwm)
	switch {
	case free && e.poolIndex >= 0:
		m.pool.changed(e)
	case free:
		m.pool.add(e)
	case e.poolIndex >= 0:
		m.pool.remove(e)
	}
}

// startWaiting starts waiting tasks on e, oldest first, while it has capacity.
func (m *machine) startWaiting(e *engine) {
	for e.poolIndex >= 0 {
		c := m.oldestClass(e)
		if c == nil {
			return
		}
		t := c.waiting.first()
		if !m.assign(t, e) {
			return
		}
		m.unqueue(t)
	}
}

// oldestClass returns the class that admits e and whose first task is the oldest;
// nil when no task waits for e.
func (m *machine) oldestClass(e *engine) (best *class) {
	consider := func(c *class) {
		if best == nil || c.waiting.first().arrival < best.waiting.first().arrival {
			best = c
		}
	}
	if m.any.waiting.len() > 0 {
		consider(m.any)
	}
	for _, c := range e.classes {
		consider(c)
	}
	for _, c := range m.wideClasses {
		if !slices.Contains(c.excluded, e) {
			consider(c)
		}
	}
	return best
}

// unqueue takes t out of the class in which it waits.
func (m *machine) unqueue(t *task) {
	c := t.class
	c.waiting.remove(t)
	t.class = nil
	if c.waiting.len() == 0 && c != m.any {
		m.removeClass(c)
	}
}

// addClass lists a class in which tasks begin to wait; removeClass is the opposite.
func (m *machine) addClass(c *class) {
	m.classes[c.key] = c
	if c.members == nil {
		m.wideClasses = append(m.wideClasses, c)
	}
	for _, e := range c.members {
		e.classes = append(e.classes, c)
	}
}

func (m *machine) removeClass(c *class) {
	delete(m.classes, c.key)
	drop := func(list []*class) []*class {
		i := slices.Index(list, c)
		return slices.Delete(list, i, i+1)
	}
	if c.members == nil {
		m.wideClasses = drop(m.wideClasses)
	}
	for _, e := range c.members {
		e.classes = drop(e.classes)
	}
}

// verdict is what classify found.
type verdict uint8

const (
	ready      verdict = iota // a class was found
	parked                    // the task waits for tasks that it follows
	impossible                // no engine can ever take it
)

// classify finds the engines that may run t, whose after dependency is fulfilled.
func (m *machine) classify(t *task) (*class, verdict) {
	t.rejectedBy = slices.DeleteFunc(t.rejectedBy, func(e *engine) bool { return e.removed })
	t.failedOn = slices.DeleteFunc(t.failedOn, func(e *engine) bool { return e.removed })
	if t.targets == nil && t.follow == nil {
		if len(t.rejectedBy) == 0 && len(t.failedOn) == 0 {
			return m.any, ready
		}
		return m.wideClass(t)
	}
	admitted, v := m.admitted(t)
	if v != ready {
		return nil, v
	}
	admitted = slices.DeleteFunc(admitted, func(e *engine) bool { return e.removed || slices.Contains(t.rejectedBy, e) })
	fresh := slices.DeleteFunc(slices.Clone(admitted), func(e *engine) bool { return slices.Contains(t.failedOn, e) })
	if len(fresh) == 0 {
		fresh = admitted
		t.allowAllEngines()
	}
	if len(fresh) == 0 {
		return nil, impossible
	}
	return m.class('=', fresh), ready
}

// wideClass is classify for a task that may run on all engines but some. A task
// that failed on all engines may run on them again, unless it has a timeout: then
// it waits for another engine until the timeout, as in Python's scheduler.
func (m *machine) wideClass(t *task) (*class, verdict) {
	if len(m.engines) > 0 && len(t.rejectedBy) == len(m.engines) {
		return nil, impossible
	}
	barred := slices.Clone(t.rejectedBy)
	for _, e := range t.failedOn {
		if !slices.Contains(barred, e) {
			barred = append(barred, e)
		}
	}
	if len(barred) == len(m.engines) && t.timeout == 0 {
		barred = slices.Clone(t.rejectedBy)
		t.allowAllEngines()
	}
	if len(barred) == 0 {
		return m.any, ready
	}
	return m.class('-', barred), ready
}

// class returns the waiting class of these engines, or a new one.
func (m *machine) class(kind byte, engines []*engine) *class {
	slices.SortFunc(engines, func(a, b *engine) int { return int(int64(a.number) - int64(b.number)) })
	key := make([]byte, 1, 1+4*len(engines))
	key[0] = kind
	for _, e := range engines {
		key = binary.BigEndian.AppendUint32(key, e.number)
	}
	if c := m.classes[string(key)]; c != nil {
		return c
	}
	c := newClass(string(key))
	if kind == '=' {
		c.members = engines
	} else {
		c.excluded = engines
	}
	return c
}

// admitted returns the engines that t's targets and its follow dependency allow.
func (m *machine) admitted(t *task) ([]*engine, verdict) {
	if t.follow == nil {
		return slices.Clone(t.targets), ready
	}
	ran := map[uint32]bool{}
	for _, id := range t.follow.IDs {
		if o, number, _ := m.outcome(id); o != pending && satisfies(&t.follow.Dependency, o) {
			ran[number] = true
		}
	}
	if t.follow.unsatisfiable() || t.follow.All && len(ran) > 1 {
		return nil, impossible
	}
	if !t.follow.fulfilled() {
		return nil, parked
	}
	var engines []*engine
	for number := range ran {
		e := m.byNumber[number]
		if e != nil && (t.targets == nil || slices.Contains(t.targets, e)) {
			engines = append(engines, e)
		}
	}
	if len(engines) == 0 && t.follow.satisfied+t.follow.blocked < len(t.follow.IDs) {
		return nil, parked // another task may still end on an engine that can be used
	}
	return engines, ready
}
