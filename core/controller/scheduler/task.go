package scheduler

import (
	"time"

	"github.com/ipcore/ipcore/core/controller/monitor"
	"github.com/ipcore/ipcore/core/wire"
)

// reply is an engine's answer as a reader goroutine hands it over.
type reply struct {
	engine string   // uuid
	msg    [][]byte // from the delimiter on, owned
	answer monitor.Answer
	ok     bool // metadata.status is "ok", or absent
	unmet  bool // the engine refused: a functional dependency failed there
}

// task is a request that has not ended.
type task struct {
	client []byte   // routing id; nil when nobody waits for the reply
	msg    [][]byte // from the delimiter on
	header []byte   // the packed header, a view of msg
	id     string   // msg_id
	size   int64    // bytes of msg as it came

	arrival              uint64 // orders tasks as they came
	after, follow        *progress
	retries              int
	timeout              time.Duration // limit of each wait; 0 is none
	targetUUIDs          []string      // uuids of the engines asked for, until aimed
	targets              []*engine     // the engines asked for; nil is any
	failedOn, rejectedBy []*engine     // engines where it failed, and that refused it

	round     int // how often all engines had their turn
	sentRound int // for which round msg is made

	engine       *engine // where it runs
	runningIndex int     // index in engine.running
	class        *class  // where it waits
	fifoIndex    int     // in class.waiting, which knows what it means
	lateIndex    int     // likewise
	deadline     time.Time
	alarmIndex   int // index in machine.alarms, or -1
	dependants   []dependant
}

// newTask makes a task of a verified message. Reader goroutines call it.
func newTask(client []byte, msg [][]byte, header []byte, id string, meta wire.Metadata) *task {
	var size int64
	for _, frame := range msg {
		size += int64(len(frame))
	}
	return &task{
		size: size, client: client, msg: msg, header: header, id: id,
		after: newProgress(meta.After), follow: newProgress(meta.Follow),
		retries: meta.Retries, timeout: seconds(meta.Timeout), targetUUIDs: meta.Targets, alarmIndex: -1,
	}
}

// again lets a task run on engines where it has failed: it failed on all.
func (t *task) allowAllEngines() {
	if len(t.failedOn) > 0 {
		t.failedOn = nil
		t.round++
	}
}

// seconds turns a task's timeout into a duration.
func seconds(s float64) time.Duration {
	const most = 1e9 // about 30 years
	return time.Duration(min(max(s, 0), most) * float64(time.Second))
}

// dependant is a task that waits for another one's end.
type dependant struct {
	*task
	on *progress // its after or its follow
}

// engine is a registered engine.
type engine struct {
	uuid        string
	number      uint32 // counts from 1, never used again
	load        int    // tasks outstanding
	lastUse     int64  // orders engines by last use
	poolIndex   int    // index in the pool; -1 when not there
	unreachable bool   // its connection is lost for now
	removed     bool   // unregistered
	running     []*task
	classes     []*class // narrow classes with waiting tasks that admit it
}

// class is the queue of ready tasks that the same engines may take. It exists
// while tasks wait in it; the class "any engine" always.
type class struct {
	key      string
	waiting  fifo
	members  []*engine // narrow: only these; nil: any engine but those
	excluded []*engine
}

func newClass(key string) *class { return &class{key: key, waiting: newFIFO()} }
