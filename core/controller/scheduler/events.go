package scheduler

import (
	"slices"
	"time"
)

// result takes an engine's reply. It returns false when that engine does not run
// this task.
func (m *machine) result(r *reply) bool {
	t, e := m.tasks[r.answer.ID], m.engines[r.engine]
	if t == nil || e == nil || t.engine != e {
		return false
	}
	m.release(t)
	switch {
	case r.unmet:
		t.rejectedBy = append(t.rejectedBy, e)
		m.schedule(t)
	case !r.ok && m.retry(t, e):
	default:
		m.effects.relay(t, r)
		o := completed
		if !r.ok {
			o = failed
		}
		m.finish(t, o, e.number)
	}
	m.startWaiting(e)
	m.notifyDependants()
	return true
}

// retry runs t again after it failed on e, if it has retries left and an engine may
// take it. Engines on which it has not failed are preferred.
func (m *machine) retry(t *task, e *engine) bool {
	if t.retries <= 0 {
		return false
	}
	t.retries--
	t.failedOn = append(t.failedOn, e)
	if _, v := m.classify(t); v == impossible {
		return false
	}
	m.counters.retried++
	m.schedule(t)
	return true
}

// engineUp adds an engine. It becomes the least recently used one.
func (m *machine) engineUp(uuid string) {
	if m.engines[uuid] != nil {
		return
	}
	m.lastNumber++
	m.firstUse--
	e := &engine{uuid: uuid, number: m.lastNumber, lastUse: m.firstUse, poolIndex: -1}
	m.engines[uuid] = e
	m.byNumber[e.number] = e
	m.warnedNoEngines = false
	m.updatePool(e)
	m.startWaiting(e)
}

// engineBack marks an engine as reachable again.
func (m *machine) engineBack(uuid string) {
	if e := m.engines[uuid]; e != nil && e.unreachable {
		e.unreachable = false
		m.updatePool(e)
		m.startWaiting(e)
	}
}

// engineDown removes an engine. Its tasks are retried or fail at once.
func (m *machine) engineDown(uuid string) {
	e := m.engines[uuid]
	if e == nil {
		return
	}
	e.removed = true
	m.updatePool(e)
	delete(m.engines, uuid)
	delete(m.byNumber, e.number)
	m.reclassify(e)
	running := slices.Clone(e.running)
	slices.SortFunc(running, func(a, b *task) int { return int(int64(a.arrival) - int64(b.arrival)) })
	for _, t := range running {
		m.release(t)
		if !m.retry(t, e) {
			m.counters.lostWithEngine++
			m.effects.lost(t, uuid)
			m.finish(t, failed, e.number)
		}
	}
	m.notifyDependants()
}

// reclassify reschedules the waiting tasks for which the loss of e changes which
// engines may take them.
func (m *machine) reclassify(e *engine) {
	var moved []*task
	take := func(c *class) { moved = append(moved, c.waiting.all()...) }
	for _, c := range e.classes {
		take(c)
	}
	for _, c := range m.wideClasses {
		left := len(m.engines)
		for _, b := range c.excluded {
			if !b.removed {
				left--
			}
		}
		if left == 0 || slices.Contains(c.excluded, e) {
			take(c)
		}
	}
	slices.SortFunc(moved, func(a, b *task) int { return int(int64(a.arrival) - int64(b.arrival)) })
	for _, t := range moved {
		m.unqueue(t)
	}
	for _, t := range moved {
		m.schedule(t)
	}
}

// nextAlarm returns when expire is to be called; any is false if it need not be.
func (m *machine) nextAlarm() (at time.Time, any bool) {
	if m.alarms.len() == 0 {
		return time.Time{}, false
	}
	return m.alarms.head().deadline, true
}

// expire fails the tasks that waited too long.
func (m *machine) expire(now time.Time) {
	for m.alarms.len() > 0 && !m.alarms.head().deadline.After(now) {
		m.fail(m.alarms.head(), "TaskTimeout")
	}
	m.notifyDependants()
}

// fail ends a task that is not running with an error of the scheduler.
func (m *machine) fail(t *task, ename string) {
	if t.class != nil {
		m.unqueue(t)
	}
	m.effects.fail(t, ename)
	m.finish(t, failed, 0)
}

// finish forgets a task and lists it for notifyDependants.
func (m *machine) finish(t *task, o outcome, engine uint32) {
	if t.alarmIndex >= 0 {
		m.alarms.remove(t.alarmIndex)
	}
	delete(m.tasks, t.id)
	if o == completed {
		m.counters.completed++
	} else {
		m.counters.failed++
	}
	m.outcomes.put(t.id, o, engine)
	t.msg, t.header = nil, nil
	if len(t.dependants) > 0 {
		m.toNotify = append(m.toNotify, ending{t, o})
	}
}

// notifyDependants updates the tasks that depend on ended ones. They may end in
// turn, which makes the list grow, so chains of any length need no recursion.
func (m *machine) notifyDependants() {
	for len(m.toNotify) > 0 {
		ended := m.toNotify
		m.toNotify = nil
		for _, end := range ended {
			for _, d := range end.dependants {
				if m.tasks[d.id] == d.task {
					d.on.count(end.outcome)
					m.reconsider(d.task, d.on)
				}
			}
			end.dependants = nil
		}
	}
}

// reconsider checks t again after a task that it depends on has ended.
func (m *machine) reconsider(t *task, on *progress) {
	switch {
	case t.engine != nil:
	case t.after.unsatisfiable() || t.follow.unsatisfiable():
		m.fail(t, "ImpossibleDependency")
	case t.class != nil:
		if on == t.follow { // another engine may now be allowed
			m.unqueue(t)
			m.schedule(t)
		}
	default:
		m.schedule(t)
	}
}
