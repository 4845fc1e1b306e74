package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/controller/db"
	"github.com/ipcore/ipcore/core/wire"
	"github.com/ipcore/ipcore/internal/lograte"
)

// Options describe a hub. Log, Session, DB, Reply and Notify are required. The
// functions are called from the hub's goroutine and must not block.
type Options struct {
	Log     hclog.Logger
	Session *wire.Session
	DB      db.DB // belongs to the hub from here on; Run closes it

	// URL is the endpoint of the query socket, for the log.
	URL string
	// ConnectionInfo is the JSON dictionary that registration replies carry.
	ConnectionInfo json.RawMessage
	// HeartbeatPeriod is sent to engines. The default is 3 s.
	HeartbeatPeriod time.Duration
	// RegistrationTimeout is how long after its request an engine has to be
	// reachable. The default is 30 s, or 10 heartbeat periods if that is longer.
	RegistrationTimeout time.Duration
	// AnnounceHold is how long a reachable engine waits for one with a lower id
	// that is not reachable yet, so that ids are announced in order. The default is
	// 250 ms.
	AnnounceHold time.Duration
	// MaxBacklog bounds the bytes of events that wait for the hub. The default is
	// 256 MiB.
	MaxBacklog int64
	// StateFile is the file that keeps the engine table for a restart; "" means
	// that it is not kept.
	StateFile string
	// Restore reads the engine table from StateFile.
	Restore bool

	// Reply sends a message to a peer of the query socket. The frames begin
	// with the delimiter.
	Reply func(peer []byte, frames [][]byte) error
	// Notify publishes a message to all clients.
	Notify func(frames [][]byte)
	// Resubmit submits a task to the scheduler as if a client had sent it.
	Resubmit func(frames [][]byte)

	// Pending reports that a registration was accepted. Call Ready when the engine
	// can be reached, Lost when it is gone.
	Pending func(id int, uuid string)
	// Abandoned reports that an accepted registration did not complete.
	Abandoned func(id int, uuid string, cause string)
	// Registered reports that an engine is in the table. Clients are notified next.
	Registered func(id int, uuid string)
	// Unregistered reports that an engine has left the table. Clients are notified
	// next.
	Unregistered func(id int, uuid string, cause string)
	// BecomeDask starts Dask's scheduler with these arguments, unless it runs, and
	// calls answer once, at any time and from any goroutine.
	BecomeDask func(arguments json.RawMessage, answer func(where json.RawMessage, err error))
	// StopDask stops Dask's scheduler if it runs.
	StopDask func()

	// Shutdown reports that a client has asked the controller to end, and has got a
	// reply.
	Shutdown func()
}

// Hub is the hub. Its exported methods are safe for concurrent use.
type Hub struct {
	o       Options
	log     hclog.Logger
	session *wire.Session
	db      db.DB
	backlog *backlog

	// Run's goroutine owns all fields below.
	engines      engineTable
	pending      registrations
	jobs         map[string]*job // by msg_id: jobs that have not ended, or whose records are deferred
	unanswered   int             // number of jobs that have not ended
	transient    db.Transient    // db, if it is transient
	deferred     deferredRecords // used with a transient db
	unassigned   jobList
	finished     *db.Recent // ids of ended jobs
	refused      map[string]int
	limitedLog   lograte.Events[logKind]
	recordBuffer db.Record // result of newRecord
	changeBuffer db.Change // result of newChange
	state        *stateWriter
	lastRelayed  time.Time // when the last message that is recorded was relayed
	stateChanged time.Time // since when the state file is out of date; zero while it is not
	stats        Stats     // except for numbers that others count

	snapshot snapshot
	refusals wire.Refusals
}

const (
	// queryPause is how long the hub pauses after it has replied to requests while
	// messages are relayed. A client that asks in a loop waits for it; otherwise it
	// would take the processor from tasks.
	queryPause = time.Millisecond
	// trafficWindow is how long after a relayed message that pause is made.
	trafficWindow = 10 * time.Millisecond
)

// maxFinished is how many ended ids the hub remembers, for status questions that it
// can reply to without the database.
const maxFinished = 1 << 17

// New returns a hub; Run starts it.
func New(o Options) (*Hub, error) {
	if o.Log == nil || o.Session == nil || o.DB == nil || o.Reply == nil || o.Notify == nil {
		return nil, errors.New("hub: options Log, Session, DB, Reply and Notify are required")
	}
	defaults(&o)
	h := &Hub{
		o:        o,
		log:      o.Log,
		session:  o.Session,
		db:       o.DB,
		backlog:  newBacklog(o.MaxBacklog),
		engines:  engineTable{byUUID: make(map[string]*engine)},
		pending:  registrations{byUUID: make(map[string]*registration)},
		jobs:     make(map[string]*job),
		finished: db.NewRecent(maxFinished),
		refused:  make(map[string]int),
	}
	h.transient, h.backlog.own = o.DB.(db.Transient)
	if o.Restore {
		if err := h.restore(); err != nil {
			return nil, fmt.Errorf("hub: restore engines: %w", err)
		}
	}
	return h, nil
}

// SetEndpoints sets Options.URL and Options.ConnectionInfo, which are known when
// the sockets listen. It must be called before Run, if at all.
func (h *Hub) SetEndpoints(url string, info json.RawMessage) {
	h.o.URL, h.o.ConnectionInfo = url, info
}

func defaults(o *Options) {
	if o.HeartbeatPeriod == 0 {
		o.HeartbeatPeriod = 3 * time.Second
	}
	if o.RegistrationTimeout == 0 {
		o.RegistrationTimeout = max(30*time.Second, 10*o.HeartbeatPeriod)
	}
	if o.AnnounceHold == 0 {
		o.AnnounceHold = 250 * time.Millisecond
	}
	if o.MaxBacklog == 0 {
		o.MaxBacklog = 256 << 20
	}
	if len(o.ConnectionInfo) == 0 {
		o.ConnectionInfo = json.RawMessage("{}")
	}
	if o.Resubmit == nil {
		o.Resubmit = func([][]byte) {}
	}
	if o.BecomeDask == nil {
		o.BecomeDask = func(_ json.RawMessage, answer func(json.RawMessage, error)) {
			answer(nil, wire.NewRemoteError("NotImplementedError", "this hub does not start Dask"))
		}
	}
	if o.StopDask == nil {
		o.StopDask = func() {}
	}
	if o.Pending == nil {
		o.Pending = func(int, string) {}
	}
	if o.Abandoned == nil {
		o.Abandoned = func(int, string, string) {}
	}
	if o.Registered == nil {
		o.Registered = func(int, string) {}
	}
	if o.Unregistered == nil {
		o.Unregistered = func(int, string, string) {}
	}
	if o.Shutdown == nil {
		o.Shutdown = func() {}
	}
}

// Run handles events until ctx ends, then handles the events that wait, writes the
// engine table and closes the database.
func (h *Hub) Run(ctx context.Context) error {
	if h.o.URL != "" {
		h.log.Info(fmt.Sprintf(textListening, h.o.URL))
	}
	h.log.Info(fmt.Sprintf(textBackend, h.db.Name()))
	h.log.Info(textCreated)
	if h.o.StateFile != "" {
		h.state = startStateWriter(h.o.StateFile, h.log)
	}
	for _, e := range h.engines.live() {
		h.o.Registered(e.id, e.uuid)
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for running := true; running; {
		select {
		case <-ctx.Done():
			running = false
		case <-h.backlog.wake:
		case <-timer.C:
		}
		h.work()
		timer.Reset(h.nextDeadline(time.Now()))
	}
	h.backlog.close()
	if h.state != nil {
		if !h.stateChanged.IsZero() {
			h.saveState()
		}
		h.state.close()
	}
	if err := h.db.Close(); err != nil {
		return fmt.Errorf("hub: close database: %w", err)
	}
	return nil
}

// work handles the backlog and everything that is due.
func (h *Hub) work() {
	for {
		batch := h.backlog.swap()
		if batch == nil {
			break
		}
		h.snapshot.handling.Store(batch.bytes)
		for _, kind := range batch.order {
			h.handle(kind, batch)
		}
		if len(batch.relayed.items)+len(batch.submitted.items)+len(batch.answered.items) > 0 {
			h.lastRelayed = time.Now()
		}
		h.snapshot.handling.Store(0)
		if batch.dropped > 0 {
			h.stats.NotRecorded += uint64(batch.dropped)
			h.stats.NotRecordedBytes += batch.droppedBytes
			h.log.Warn("hub is behind: messages are not in the database", "messages", batch.dropped, "bytes", batch.droppedBytes)
		}
		asked := len(batch.requests.items) > 0
		h.backlog.recycle(batch)
		h.publishStats()
		if asked && time.Since(h.lastRelayed) < trafficWindow {
			time.Sleep(queryPause)
		}
	}
	now := time.Now()
	h.expireRegistrations(now)
	h.announce(now)
	if due, any := h.stateDue(); any && !due.After(now) {
		h.saveState()
	}
	h.publishStats()
}

// handle handles the batch's next event of a kind.
func (h *Hub) handle(kind eventKind, b *batch) {
	switch kind {
	case eventRequest:
		h.request(b.requests.next())
	case eventRelayed:
		h.relayed(b.relayed.next())
	case eventSubmitted:
		h.taskSubmitted(b.submitted.next())
	case eventAssigned:
		t := b.assigned.next()
		h.recordAssignment(t.id, t.engine)
	case eventAnswered:
		h.taskAnswered(b.answered.next())
	case eventEngine:
		if n := b.engines.next(); n.ready {
			h.engineReady(n.uuid)
		} else {
			h.engineLost(n.uuid, n.cause)
		}
	}
}
