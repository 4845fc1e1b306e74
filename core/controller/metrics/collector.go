package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ipcore/ipcore/core/controller/hub"
	"github.com/ipcore/ipcore/core/controller/relay"
	"github.com/ipcore/ipcore/core/controller/scheduler"
	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/wire"
)

// Parts are the sources of the metrics. The functions must be safe for concurrent
// use.
type Parts struct {
	Hub      func() hub.Stats
	ProbeHub func(context.Context) error
	// Tasks returns nil when the task queue has no scheduler.
	Tasks   func(context.Context) (*scheduler.Stats, error)
	Queues  []Queue
	Sockets []Socket
}

// Queue is a relay; Name is its value of the label "queue".
type Queue struct {
	Name  string
	Stats func() relay.Stats
}

// Socket is a socket that does not belong to a Queue. Side says which peers connect
// to it: "clients", "engines" or "both".
type Socket struct {
	Name, Side string
	Stats      func() sockets.Stats
}

// replyTimeout is how long a scrape or a health check waits for a part.
const replyTimeout = 2 * time.Second

// family describes all metrics of one name.
type family struct {
	kind   prometheus.ValueType
	name   string // after "ipcore_"
	help   string
	labels []string
}

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

// The families. docs/operator.md explains them.
var (
	up = family{gauge, "up", "Whether a part of the controller responds.", []string{"part"}}

	engines           = family{gauge, "engines", "Engines by state.", []string{"state"}}
	enginesRegistered = family{counter, "engines_registered_total", "Engines that registered.", nil}
	enginesEnded      = family{counter, "engines_ended_total", "Engines that unregistered, were lost, or never completed their registration.", []string{"cause"}}

	tasksWaiting   = family{gauge, "tasks_waiting", "Tasks that wait, by what they wait for.", []string{"reason"}}
	tasksRunning   = family{gauge, "tasks_running", "Tasks on engines.", nil}
	tasksBytes     = family{gauge, "tasks_bytes", "Bytes of tasks that have not ended.", nil}
	tasksSubmitted = family{counter, "tasks_submitted_total", "Tasks that the scheduler accepted.", nil}
	tasksEnded     = family{counter, "tasks_ended_total", "Tasks that ended, by outcome.", []string{"outcome"}}
	tasksRetried   = family{counter, "task_retries_total", "Runs of tasks after a failure.", nil}
	tasksStranded  = family{counter, "tasks_lost_with_engine_total", "Tasks that failed because their engine was lost.", nil}
	unanswered     = family{gauge, "requests_unanswered", "Direct requests and tasks without a reply.", nil}

	records            = family{gauge, "records", "Task records that are kept.", nil}
	recordBytes        = family{gauge, "record_bytes", "Bytes of finished task records that are kept in memory.", nil}
	recordsQueued      = family{gauge, "records_queued", "Task records that wait to be stored on disk or on a server.", nil}
	recordsQueuedBytes = family{gauge, "records_queued_bytes", "Their bytes.", nil}
	recordsNotStored   = family{counter, "records_not_stored_total", "Task records, or changes of them, that were given up because they could not be stored.", nil}
	recordsCulled      = family{counter, "records_culled_total", "Task records dropped to keep within the limits.", nil}
	notRecorded        = family{counter, "messages_not_recorded_total", "Messages relayed but not recorded, because the hub was behind.", nil}
	notRecordedBytes   = family{counter, "messages_not_recorded_bytes_total", "Their bytes.", nil}
	backlog            = family{gauge, "hub_backlog_messages", "Messages that wait for the hub.", nil}
	backlogBytes       = family{gauge, "hub_backlog_bytes", "Their bytes, and those of the messages being handled.", nil}
	databaseErrors     = family{counter, "database_errors_total", "Changes that the database did not accept.", nil}

	messages        = family{counter, "messages_total", "Messages by queue, side and direction.", []string{"queue", "side", "direction"}}
	messageBytes    = family{counter, "message_bytes_total", "Their bytes.", []string{"queue", "side", "direction"}}
	messagesDropped = family{counter, "messages_dropped_total", "Messages not sent because their peer does not read.", []string{"queue", "side"}}
	messagesRefused = family{counter, "messages_refused_total", "Messages refused, by cause.", []string{"queue", "cause"}}

	connections        = family{gauge, "connections", "Connected peers.", []string{"queue", "side"}}
	handshaking        = family{gauge, "handshakes", "Handshakes in progress.", []string{"queue", "side"}}
	handshakes         = family{counter, "handshakes_total", "Handshakes that succeeded.", []string{"queue", "side"}}
	connectionsRefused = family{counter, "connections_refused_total", "Connections closed because of a bad or missing handshake or a protocol error.", []string{"queue", "side"}}
	sendQueue          = family{gauge, "send_queue_bytes", "Bytes that wait to be sent.", []string{"queue", "side"}}
)

// scrape is a prometheus.Collector for one request.
type scrape struct {
	ctx   context.Context
	parts Parts
	out   chan<- prometheus.Metric
	descs map[string]*prometheus.Desc
}

// Describe sends nothing: the registry then checks the values when they are collected.
func (s *scrape) Describe(chan<- *prometheus.Desc) {}

// Collect sends all values. The metrics of a part that does not respond in time are
// omitted, and ipcore_up is 0 for it.
func (s *scrape) Collect(out chan<- prometheus.Metric) {
	s.out, s.descs = out, make(map[string]*prometheus.Desc)
	ctx, cancel := context.WithTimeout(s.ctx, replyTimeout)
	defer cancel()
	tasks, err := s.parts.Tasks(ctx)
	put(s, &up, one(err == nil), "tasks")
	put(s, &up, one(s.parts.ProbeHub(ctx) == nil), "hub")
	if tasks != nil {
		s.tasks(tasks)
	}
	h := s.parts.Hub()
	s.hub(&h)
	s.refused("hub", h.Refused)
	for _, q := range s.parts.Queues {
		st := q.Stats()
		if q.Name == taskQueue && tasks != nil {
			st.Refused.Replay += tasks.Duplicates
		}
		s.refused(q.Name, st.Refused)
		s.socket(q.Name, "clients", &st.Clients)
		s.socket(q.Name, "engines", &st.Engines)
	}
	for _, socket := range s.parts.Sockets {
		st := socket.Stats()
		s.socket(socket.Name, socket.Side, &st)
	}
}

// taskQueue is the name of the Queue that Parts.Tasks belongs to.
const taskQueue = "task"

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// put sends one value.
func put[N int | int64 | uint64](s *scrape, f *family, value N, labels ...string) {
	desc := s.descs[f.name]
	if desc == nil {
		desc = prometheus.NewDesc("ipcore_"+f.name, f.help, f.labels, nil)
		s.descs[f.name] = desc
	}
	m, err := prometheus.NewConstMetric(desc, f.kind, float64(value), labels...)
	if err != nil {
		m = prometheus.NewInvalidMetric(desc, err)
	}
	s.out <- m
}

func (s *scrape) tasks(t *scheduler.Stats) {
	put(s, &tasksWaiting, t.Waiting.Dependencies, "dependency")
	put(s, &tasksWaiting, t.Waiting.NoEngines, "no_engines")
	put(s, &tasksWaiting, t.Waiting.AnyEngine, "busy")
	put(s, &tasksWaiting, t.Waiting.CertainEngines, "certain_engines")
	put(s, &tasksRunning, t.Running)
	put(s, &tasksBytes, t.HeldBytes)
	put(s, &tasksSubmitted, t.Submitted)
	put(s, &tasksEnded, t.Completed, "completed")
	put(s, &tasksEnded, t.Failed, "failed")
	put(s, &tasksRetried, t.Retried)
	put(s, &tasksStranded, t.LostWithEngine)
}

func (s *scrape) hub(h *hub.Stats) {
	put(s, &engines, h.Engines, "registered")
	put(s, &engines, h.Pending, "pending")
	put(s, &enginesRegistered, h.Registered)
	put(s, &enginesEnded, h.Left, "left")
	put(s, &enginesEnded, h.Lost, "lost")
	put(s, &enginesEnded, h.Abandoned, "not_reachable")
	put(s, &unanswered, h.Unanswered)
	put(s, &records, h.Records.Records)
	put(s, &recordBytes, h.Records.Bytes)
	put(s, &recordsCulled, h.Records.Culled)
	put(s, &recordsQueued, h.Records.Queued)
	put(s, &recordsQueuedBytes, h.Records.QueuedBytes)
	put(s, &recordsNotStored, h.Records.NotStored)
	put(s, &notRecorded, h.NotRecorded)
	put(s, &notRecordedBytes, h.NotRecordedBytes)
	put(s, &backlog, h.Backlog)
	put(s, &backlogBytes, h.BacklogBytes)
	put(s, &databaseErrors, h.Errors)
}

func (s *scrape) refused(queue string, r wire.RefusalStats) {
	put(s, &messagesRefused, r.Signature, queue, "signature")
	put(s, &messagesRefused, r.Replay, queue, "replay")
	put(s, &messagesRefused, r.Malformed, queue, "malformed")
}

func (s *scrape) socket(queue, side string, st *sockets.Stats) {
	for direction, t := range map[string]sockets.Traffic{"received": st.Received, "sent": st.Sent} {
		put(s, &messages, t.Messages, queue, side, direction)
		put(s, &messageBytes, t.Bytes, queue, side, direction)
	}
	put(s, &messagesDropped, st.Full, queue, side)
	put(s, &connections, st.Connections, queue, side)
	put(s, &handshaking, st.Handshaking, queue, side)
	put(s, &handshakes, st.Handshakes, queue, side)
	put(s, &connectionsRefused, st.Refused, queue, side)
	put(s, &sendQueue, st.Queued, queue, side)
}
