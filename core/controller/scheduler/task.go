package scheduler

import (
	"time"

	"github.com/ipcore/ipcore/core/controller/monitor"
	"github.com/ipcore/ipcore/core/wire"
)

// reply is an engine's reply, read by a reader goroutine.
type reply struct {
	engine string   // uuid
	msg    [][]byte // from the delimiter on, owned
	answer monitor.Answer
	ok     bool // metadata.status is "ok", or absent
	unmet  bool // the engine rejected the task: a functional dependency failed there
}

// task is a request that has not ended.
type task struct {
	client []byte   // routing id; nil if nobody waits for the reply
	msg    [][]byte // from the delimiter on
	header []byte   // the packed header, a view of msg
	id     string   // msg_id
	size   int64    // bytes of msg as it was submitted

	arrival              uint64 // orders tasks by their arrival
	after, follow        *progress
	retries              int
	timeout              time.Duration // limit of each wait; 0 means no limit
	targetUUIDs          []string      // uuids of the engines asked for, until they are resolved
	targets              []*engine     // the engines asked for; nil means any
	failedOn, rejectedBy []*engine     // engines on which it failed, and that rejected it

	round     int // how often it was allowed on all engines again
	sentRound int // the round that msg was signed for

	engine       *engine // the engine that runs it
	runningIndex int     // index in engine.running
	class        *class  // the class in which it waits
	fifoIndex    int     // set by class.waiting, which knows its meaning
	lateIndex    int     // likewise
	deadline     time.Time
	alarmIndex   int // index in machine.alarms, or -1
	dependants   []dependant
}

// newTask returns a task for a verified message. Reader goroutines call it.
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

// allowAllEngines lets a task run on the engines where it has failed, because it
// has failed on all of them.
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

// dependant is a task that waits for the end of another one.
type dependant struct {
	*task
	on *progress // its after or its follow
}

// engine is a registered engine.
type engine struct {
	uuid        string
	number      uint32 // counts from 1 and is never used again
	load        int    // number of tasks outstanding
	lastUse     int64  // orders engines by last use
	poolIndex   int    // index in the pool; -1 if it is not there
	unreachable bool   // it is not connected for now
	removed     bool   // it is not registered any more
	running     []*task
	classes     []*class // classes with members in which tasks wait for it
}

// class is a queue of ready tasks that the same engines may take. It exists while
// tasks wait in it; the class "any engine" always exists.
type class struct {
	key      string
	waiting  fifo
	members  []*engine // only these engines; nil means any engine except the excluded ones
	excluded []*engine
}

func newClass(key string) *class { return &class{key: key, waiting: newFIFO()} }
