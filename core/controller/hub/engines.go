package hub

import (
	"slices"
	"time"

	"github.com/ipcore/ipcore/core/controller/monitor"
)

// engine is an engine that is, or was, registered.
type engine struct {
	id   int
	uuid string
	live bool

	queue     jobList // direct requests without a reply
	tasks     jobList // assigned tasks without a reply
	completed int
	recent    []string // ids of the last completed requests and tasks, oldest first
}

// maxRecent bounds the number of completed ids that are kept for an engine.
const maxRecent = 4096

func (e *engine) complete(id string) {
	e.completed++
	if len(e.recent) == 2*maxRecent {
		e.recent = append(e.recent[:0], e.recent[maxRecent:]...)
	}
	e.recent = append(e.recent, id)
}

// recentIDs returns the ids of the last completed requests, oldest first.
func (e *engine) recentIDs() []string {
	return append([]string{}, e.recent[max(0, len(e.recent)-maxRecent):]...)
}

// engineTable is all engines that ever registered, and the next id.
type engineTable struct {
	byUUID map[string]*engine // the newest engine of that uuid
	list   []*engine          // in the order of ids
	next   int
}

// maxID bounds the ids that engines may ask for.
const maxID = 1 << 30

func (t *engineTable) add(id int, uuid string) {
	e := &engine{id: id, uuid: uuid, live: true}
	t.byUUID[uuid] = e
	i, _ := t.find(id)
	t.list = slices.Insert(t.list, i, e)
	t.next = max(t.next, id+1)
}

func (t *engineTable) find(id int) (int, bool) {
	return slices.BinarySearchFunc(t.list, id, func(e *engine, id int) int { return e.id - id })
}

// get returns the engine of an id, registered or not, or nil.
func (t *engineTable) get(id int) *engine {
	if i, ok := t.find(id); ok {
		return t.list[i]
	}
	return nil
}

// registered returns the registered engine of a uuid, or nil.
func (t *engineTable) registered(uuid string) *engine {
	if e := t.byUUID[uuid]; e != nil && e.live {
		return e
	}
	return nil
}

// all returns every engine that ever registered, in the order of ids.
func (t *engineTable) all() []*engine { return slices.Clone(t.list) }

// live returns the registered engines, in the order of ids.
func (t *engineTable) live() []*engine {
	return slices.DeleteFunc(t.all(), func(e *engine) bool { return !e.live })
}

// job is a request or task that has no reply yet or whose record is deferred.
type job struct {
	id         string
	topic      monitor.Topic // of the request
	replyTopic monitor.Topic // of the reply, while reply is set
	ended      bool          // it has a reply
	engine     *engine       // nil for a task that is not assigned
	list       *jobList
	prev, next *job

	// While the record is deferred: the messages to build it from.
	request, reply [][]byte
	received       time.Time // when the reply came
	size           int64     // about how many bytes the record will take
}

// task reports whether j is load-balanced.
func (j *job) task() bool { return j.topic == monitor.InTask }

// jobList is jobs in the order in which they were added.
type jobList struct {
	first, last *job
	n           int
}

// put appends j, and removes it from the list in which it was.
func (l *jobList) put(j *job) {
	j.leave()
	j.list, j.prev = l, l.last
	if l.last != nil {
		l.last.next = j
	} else {
		l.first = j
	}
	l.last = j
	l.n++
}

// leave removes j from its list.
func (j *job) leave() {
	l := j.list
	if l == nil {
		return
	}
	if j.prev != nil {
		j.prev.next = j.next
	} else {
		l.first = j.next
	}
	if j.next != nil {
		j.next.prev = j.prev
	} else {
		l.last = j.prev
	}
	l.n--
	j.list, j.prev, j.next = nil, nil, nil
}

func (l *jobList) ids() []string {
	ids := make([]string, 0, l.n)
	for j := l.first; j != nil; j = j.next {
		ids = append(ids, j.id)
	}
	return ids
}
