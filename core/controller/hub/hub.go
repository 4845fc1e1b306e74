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

// Options describe a hub. Log, Session, DB, Reply and Notify are needed; the
// functions are called from the hub's goroutine and must not block.
type Options struct {
	Log     hclog.Logger
	Session *wire.Session
	DB      db.DB // the hub's own from here on; Run closes it

	// URL is the endpoint of the query socket, for the log.
	URL string
	// ConnectionInfo is what registration replies carry: a JSON dictionary.
	ConnectionInfo json.RawMessage
	// HeartbeatPeriod is told to engines: 3 s.
	HeartbeatPeriod time.Duration
	// RegistrationTimeout is how long an engine may take from its request until
	// it is reachable: 30 s, or 10 heartbeat periods when that is longer.
	RegistrationTimeout time.Duration
	// AnnounceHold is how long a reachable engine waits for one with a lower id
	// that is not reachable yet, so that ids are announced in order: 250 ms.
	AnnounceHold time.Duration
	// MaxBacklog bounds the bytes of events that wait for the hub: 256 MiB.
	MaxBacklog int64
	// StateFile is where the engine table is kept for a restart ("" = nowhere).
	StateFile string
	// Restore takes the engine table over from StateFile.
	Restore bool

	// Reply sends a message to a peer of the query socket. The frames begin
	// with the delimiter.
	Reply func(peer []byte, frames [][]byte) error
	// Notify publishes a message to all clients.
	Notify func(frames [][]byte)
	// Resubmit hands a message to the task queue as if a client had sent it.
	Resubmit func(frames [][]byte)

	// Pending: a registration was accepted. Call Ready when the engine can be
	// reached, Lost when it went away.
	Pending func(id int, uuid string)
	// Abandoned: an accepted registration did not complete.
	Abandoned func(id int, uuid string, cause string)
	// Registered: the engine is in the table; clients are told next.
	Registered func(id int, uuid string)
	// Unregistered: the engine left the table; clients are told next.
	Unregistered func(id int, uuid string, cause string)
	// BecomeDask starts Dask's scheduler with these arguments, or finds it
	// running, and calls answer once, at any time and from any goroutine.
	BecomeDask func(arguments json.RawMessage, answer func(where json.RawMessage, err error))
	// StopDask ends Dask's scheduler if it runs.
	StopDask func()

	// Shutdown: a client asked for the controller's end, and was answered.
	Shutdown func()
}

// Hub is the hub. Its exported methods are safe for concurrent use.
type Hub struct {
	o       Options
	log     hclog.Logger
	session *wire.Session
	db      db.DB
	backlog *backlog

	// All below belongs to Run's goroutine.
	engines      engineTable
	pending      registrations
	jobs         map[string]*job // not ended, or with an unmade record, by msg_id
	unanswered   int             // of jobs, that have not ended
	transient    db.Transient    // db, if it is one
	deferred     deferredRecords // of such a db
	unassigned   jobList
	finished     *db.Recent // ids of ended jobs
	refused      map[string]int
	limitedLog   lograte.Events[logKind]
	recordBuffer db.Record // what newRecord answers
	changeBuffer db.Change // what newChange answers
	state        *stateWriter
	lastRelayed  time.Time // when a message passed that is recorded
	stateChanged time.Time // when state got out of date; zero while it is not
	stats        Stats     // but for what others count

	snapshot snapshot
	refusals wire.Refusals
}

const (
	// breath is how long the hub rests after it has answered questions while
	// messages pass. Those who ask in a loop wait for it, rather than that
	// they take the processor from those who work.
	queryPause = time.Millisecond
	// traffic is how long ago a message may have passed for that.
	trafficWindow = 10 * time.Millisecond
)

// rememberFinished is how many ended ids status questions are answered for
// without the database.
const maxFinished = 1 << 17

// New makes a hub.
func New(o Options) (*Hub, error) {
	if o.Log == nil || o.Session == nil || o.DB == nil || o.Reply == nil || o.Notify == nil {
		return nil, errors.New("hub: Log, Session, DB, Reply and Notify are needed")
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

// Locate sets Options.URL and Options.ConnectionInfo, which are known when the
// sockets listen. It is called before Run, or not at all.
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

// Run handles events until ctx ends, then handles what is already there,
// writes the engine table and closes the database.
func (h *Hub) Run(ctx context.Context) error {
	if h.o.URL != "" {
		h.log.Info(fmt.Sprintf("Hub listening on %s for registration.", h.o.URL))
	}
	h.log.Info(fmt.Sprintf("Hub using DB backend: '%s'", h.db.Name()))
	h.log.Info("hub::created hub")
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

// work handles the backlog and what time has brought.
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

// handle handles the next event of its kind.
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
