package hub

import (
	"time"

	"github.com/ipcore/ipcore/core/controller/db"
	"github.com/ipcore/ipcore/core/controller/monitor"
	"github.com/ipcore/ipcore/core/wire"
)

// A database in memory keeps so few records that most are displaced before
// anybody asks for them. So the hub keeps the messages of a task as they came,
// and makes the record when somebody asks, or when output is to be added to it.

// maxUnmade is how many records of tasks that have ended wait in the journal
// when the database has room for more: who asks for all waits for them.
const maxDeferred = 1024

// journal is the tasks whose records are not made yet.
type deferredRecords struct {
	tasks []*job // in the order they came; made, and passed, are some of them
	n     int    // of tasks, that are unmade
	ended deferredQueue
	bytes int64 // of those that have ended
}

// unmade reports whether the record of j is still to be made.
func (j *job) deferred() bool { return j.request != nil }

// add takes in a task whose request just came.
func (l *deferredRecords) add(j *job, request [][]byte) {
	l.tasks = compact(l.tasks, l.n)
	j.request, j.size = request, db.RecordOverhead+sizeOf(request)
	l.tasks = append(l.tasks, j)
	l.n++
}

// dense answers a list of jobs of which n are unmade, without the others when these
// are most of it.
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

// remove takes a task out and answers its messages.
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

// answered takes in the reply to an unmade task, and makes room for it.
func (h *Hub) deferReply(j *job, topic monitor.Topic, reply [][]byte) {
	j.reply, j.out, j.received = reply, topic, time.Now()
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
			h.transient.Pass(oldest.id)
		case l.ended.n > maxDeferred:
			h.build(l.ended.pop())
		default:
			return
		}
	}
}

// make makes the record of a task, if that has not been done.
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

// made reads the record of a task from its messages.
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
	h.newResult(j.out, &m, h.readAnswer(j.out, &m), j.received).Apply(r)
	return r, nil
}

// makeAll makes all records that are to be made, for who may ask for any.
func (h *Hub) buildAll() {
	l := &h.deferred
	for _, j := range l.tasks {
		h.build(j)
	}
	clear(l.tasks)
	l.tasks = l.tasks[:0]
}

// recorded answers a task's record.
func (h *Hub) getRecord(id string) (*db.Record, error) {
	h.build(h.jobs[id])
	return h.db.Get(id)
}

// jobQueue is unmade jobs in a row. A job that is made leaves a hole.
type deferredQueue struct {
	list []*job
	head int // what is before it was taken
	n    int // but for holes
}

func (q *deferredQueue) push(j *job) {
	if len(q.list) > 2*q.n+maxDeferred {
		q.list, q.head = compact(q.list[q.head:], q.n), 0
	}
	q.list = append(q.list, j)
	q.n++
}

// pop answers the first one, which must be there and stays counted: it is still
// unmade.
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
