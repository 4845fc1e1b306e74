package hub

import (
	"time"

	"github.com/ipcore/ipcore/core/controller/db"
	"github.com/ipcore/ipcore/core/controller/monitor"
	"github.com/ipcore/ipcore/core/wire"
)

// A database in memory keeps so few records that most are displaced before anybody
// asks for them. So the hub keeps the messages of a task as they came, and builds
// the record when somebody asks for it, or when output is to be added to it.

// maxDeferred is how many records of ended tasks may be deferred when the database
// has space for more: whoever asks for all records waits until they are built.
const maxDeferred = 1024

// deferredRecords is the tasks whose records are not built yet.
type deferredRecords struct {
	tasks []*job // in the order they came; records of some have been built or displaced since
	n     int    // number of tasks whose records are deferred
	ended deferredQueue
	bytes int64 // about what the records of ended tasks will take
}

// deferred reports whether the record of j has not been built yet.
func (j *job) deferred() bool { return j.request != nil }

// add adds a task whose request has just come.
func (l *deferredRecords) add(j *job, request [][]byte) {
	l.tasks = compact(l.tasks, l.n)
	j.request, j.size = request, db.RecordOverhead+sizeOf(request)
	l.tasks = append(l.tasks, j)
	l.n++
}

// compact returns a list of jobs of which n are deferred, without the others if
// these are most of it.
func compact(list []*job, n int) []*job {
	if len(list) <= 2*n+maxDeferred {
		return list
	}
	kept := list[:0]
	for _, j := range list {
		if j.deferred() {
			kept = append(kept, j)
		}
	}
	clear(list[len(kept):])
	return kept
}

// remove removes a task and returns its messages.
func (l *deferredRecords) remove(j *job) (request, reply [][]byte) {
	request, reply = j.request, j.reply
	j.request, j.reply = nil, nil
	l.n--
	if j.ended {
		l.ended.n--
		l.bytes -= j.size
	}
	return request, reply
}

// deferReply adds the reply to a deferred task, and makes space for it.
func (h *Hub) deferReply(j *job, topic monitor.Topic, reply [][]byte) {
	j.reply, j.replyTopic, j.received = reply, topic, time.Now()
	h.endJob(j)
	l := &h.deferred
	j.size += sizeOf(reply)
	l.bytes += j.size
	l.ended.push(j)
	for l.ended.n > 0 {
		switch {
		case !h.transient.Reserve(l.ended.n, l.bytes):
			oldest := l.ended.pop()
			l.remove(oldest)
			delete(h.jobs, oldest.id)
			h.transient.MarkCulled(oldest.id)
		case l.ended.n > maxDeferred:
			h.build(l.ended.pop())
		default:
			return
		}
	}
}

// build builds the record of a task and adds it to the database, if it is deferred.
func (h *Hub) build(j *job) {
	if j == nil || !j.deferred() {
		return
	}
	request, reply := h.deferred.remove(j)
	if j.ended {
		delete(h.jobs, j.id)
		h.transient.Reserve(h.deferred.ended.n, h.deferred.bytes)
	}
	r, err := h.buildRecord(j, request, reply)
	if err != nil {
		h.refuseRelayed(j.topic, err)
		return
	}
	if err := h.db.Add(r); err != nil {
		h.databaseFailed("request not recorded", "msg_id", j.id, "error", err)
	}
}

// buildRecord builds the record of a task from its messages.
func (h *Hub) buildRecord(j *job, request, reply [][]byte) (*db.Record, error) {
	m, err := wire.Parse(request)
	if err != nil {
		return nil, err
	}
	s, err := readSubmission(&m)
	if err != nil {
		return nil, err
	}
	r := h.newRecord(j, &m, s)
	if reply == nil {
		return r, nil
	}
	if m, err = wire.Parse(reply); err != nil {
		return nil, err
	}
	h.newResult(j.replyTopic, &m, h.readAnswer(j.replyTopic, &m), j.received).Apply(r)
	return r, nil
}

// buildAll builds all deferred records, for a request that may ask for any.
func (h *Hub) buildAll() {
	l := &h.deferred
	for _, j := range l.tasks {
		h.build(j)
	}
	clear(l.tasks)
	l.tasks = l.tasks[:0]
}

// getRecord returns a task's record.
func (h *Hub) getRecord(id string) (*db.Record, error) {
	h.build(h.jobs[id])
	return h.db.Get(id)
}

// deferredQueue is ended tasks with deferred records, oldest first. A task whose
// record has been built stays in the list until it is passed.
type deferredQueue struct {
	list []*job
	head int // entries before it have been taken
	n    int // number of tasks that are still deferred
}

func (q *deferredQueue) push(j *job) {
	if len(q.list) > 2*q.n+maxDeferred {
		q.list, q.head = compact(q.list[q.head:], q.n), 0
	}
	q.list = append(q.list, j)
	q.n++
}

// pop returns the oldest deferred task, which must exist. It stays counted in n
// until the caller removes it.
func (q *deferredQueue) pop() *job {
	for {
		j := q.list[q.head]
		q.list[q.head] = nil
		q.head++
		if j.deferred() {
			return j
		}
	}
}
