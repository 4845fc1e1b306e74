package heartbeat

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/sockets/curve"
)

// Defaults of Options.
const (
	DefaultPeriod    = 3 * time.Second
	DefaultMaxMisses = 10
	DefaultGrace     = time.Second
)

// Options configure a Monitor.
type Options struct {
	Period    time.Duration // between two beats; 0: DefaultPeriod
	MaxMisses int           // consecutive beats that a heart may miss; 0: DefaultMaxMisses
	Grace     time.Duration // how long an engine may have no connection; 0: DefaultGrace
	Leaves    int           // broadcast leaves; an engine uses leaf id mod Leaves; 0: none

	// Ready is called when a pending engine can be used, Lost when a pending or
	// ready engine is lost. They are called once for each registration, without
	// locks held, on any goroutine.
	Ready  func(uuid string)
	Lost   func(uuid, cause string)
	Curve  *curve.Config // nil: not encrypted
	Limits sockets.Limits
	Log    hclog.Logger // nil discards
}

// Monitor watches engines. All methods are safe for concurrent use.
type Monitor struct {
	Ping *sockets.Socket // PUB; the owner makes it listen
	Pong *sockets.Socket // ROUTER; likewise

	o     Options
	log   hclog.Logger
	start time.Time
	wake  chan struct{} // holds one token when disconnected has got its first item

	mu           sync.Mutex
	hearts       map[string]*heart // by uuid: connected, pending or ready
	disconnected []disconnection   // by deadline, because the grace period is the same for all
}

// Channel identifies a socket that an engine connects to.
type Channel uint8

// The channels. An engine is ready when it is connected to all of them.
const (
	Mux Channel = iota
	Task
	Control
	Pong
	channels // their number
)

var channelNames = [channels]string{"mux", "task", "control", "hb_pong"}

// heart is the state of one engine.
type heart struct {
	state          state
	id             int // the engine's number, while pending or ready
	conns          [channels]int
	leaves         map[int]int // connections to broadcast leaves
	beating        bool        // a ping has come back since its hb_pong connected
	answered       bool        // a ping has come back since the last beat
	misses         int
	beats          int       // while pending: beats answered
	everConnected  bool      // it has had a connection at some time
	disconnectedAt time.Time // when its last connection closed; zero while it has one
}

type state uint8

const (
	unknown state = iota // not registered with this controller
	pending              // has requested registration
	ready                // announced
)

// disconnection is an engine that has lost its last connection. It is lost after
// Grace unless it connects again.
type disconnection struct {
	uuid  string
	since time.Time
}

// New creates a Monitor; Run starts it.
func New(o Options) *Monitor {
	if o.Period <= 0 {
		o.Period = DefaultPeriod
	}
	if o.MaxMisses <= 0 {
		o.MaxMisses = DefaultMaxMisses
	}
	if o.Grace <= 0 {
		o.Grace = DefaultGrace
	}
	log := o.Log
	if log == nil {
		log = hclog.NewNullLogger()
	}
	m := &Monitor{o: o, log: log, start: time.Now(), wake: make(chan struct{}, 1), hearts: map[string]*heart{}}
	m.Ping = sockets.New(sockets.Pub, sockets.Options{Subscribed: m.pingNew, Curve: o.Curve, Limits: o.Limits, Log: log})
	m.Pong = sockets.New(sockets.Router, sockets.Options{
		Handler:      m.onPong,
		Connected:    func(c *sockets.Conn) { m.Connected(Pong, string(c.Identity())) },
		Disconnected: func(c *sockets.Conn, _ error) { m.Disconnected(Pong, string(c.Identity())) },
		Curve:        o.Curve, Limits: o.Limits, Log: log,
	})
	return m
}

// Close closes the sockets.
func (m *Monitor) Close() {
	_ = m.Ping.Close(0)
	_ = m.Pong.Close(0)
}

// pingNew sends a ping to a heart that has just subscribed.
func (m *Monitor) pingNew(c *sockets.Conn, _ []byte, on bool) {
	if on {
		_ = c.Send(m.ping()) // it may have disconnected already
	}
}

// onPong handles a message from a heart.
func (m *Monitor) onPong(c *sockets.Conn, frames [][]byte) {
	if len(frames) == 0 || !m.acceptPong(string(c.Identity()), frames[0]) {
		m.log.Debug("heart sent something other than a recent ping", "engine", string(c.Identity()), "peer", c.RemoteAddr())
	}
}

// Run sends a ping every Period and reports lost engines until ctx ends.
func (m *Monitor) Run(ctx context.Context) error {
	m.log.Info("Heartmonitor started", "period", m.o.Period, "max_misses", m.o.MaxMisses)
	beat := time.NewTicker(m.o.Period)
	defer beat.Stop()
	grace := time.NewTimer(m.o.Grace)
	defer grace.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
			m.beat()
			if err := m.Ping.Send(m.ping()); err != nil {
				return fmt.Errorf("heartbeat: %w", err)
			}
		case <-m.wake:
		case <-grace.C:
		}
		if next, any := m.reapDisconnected(time.Now()); any {
			grace.Reset(time.Until(next))
		}
	}
}

// Pending reports that an engine has requested registration and was given this id.
func (m *Monitor) Pending(uuid string, id int) {
	m.change(uuid, func(h *heart) { h.state, h.id, h.beats = pending, id, 0 })
}

// Registered reports that an engine is registered. For an engine that was not
// pending, because it was restored after a restart, missed beats are counted from
// now.
func (m *Monitor) Registered(uuid string, id int) {
	m.change(uuid, func(h *heart) {
		if h.id = id; h.state != ready {
			h.announce()
		}
	})
}

// Forget reports that an engine is no longer registered.
func (m *Monitor) Forget(uuid string) {
	m.change(uuid, func(h *heart) { h.state = unknown })
}

// Connected reports a new connection of an engine. A connection may be reported
// before the end of the one that it replaces.
func (m *Monitor) Connected(on Channel, uuid string) {
	m.change(uuid, func(h *heart) { h.conns[on]++ })
}

// Disconnected reports the end of a connection.
func (m *Monitor) Disconnected(on Channel, uuid string) {
	m.change(uuid, func(h *heart) {
		if h.conns[on]--; h.conns[Pong] == 0 {
			h.beating = false
		}
	})
}

// LeafConnected reports a new connection to a broadcast leaf.
func (m *Monitor) LeafConnected(leaf int, uuid string) { m.changeLeaf(leaf, uuid, 1) }

// LeafDisconnected reports the end of a connection to a broadcast leaf.
func (m *Monitor) LeafDisconnected(leaf int, uuid string) { m.changeLeaf(leaf, uuid, -1) }

func (m *Monitor) changeLeaf(leaf int, uuid string, by int) {
	m.change(uuid, func(h *heart) {
		if h.leaves == nil {
			h.leaves = map[int]int{}
		}
		if h.leaves[leaf] += by; h.leaves[leaf] == 0 {
			delete(h.leaves, leaf)
		}
	})
}

// change applies f to an engine's heart and acts on the result: it announces an
// engine that is complete and starts the grace period of one without connections.
func (m *Monitor) change(uuid string, f func(*heart)) {
	m.mu.Lock()
	h := m.hearts[uuid]
	if h == nil {
		h = &heart{}
		m.hearts[uuid] = h
	}
	f(h)
	isReady := h.state == pending && len(m.missing(h)) == 0
	if isReady {
		h.announce()
	}
	switch {
	case h.connected():
		h.everConnected, h.disconnectedAt = true, time.Time{}
	case h.state == unknown:
		delete(m.hearts, uuid)
	case h.everConnected && h.disconnectedAt.IsZero():
		h.disconnectedAt = time.Now()
		m.disconnected = append(m.disconnected, disconnection{uuid, h.disconnectedAt})
		select {
		case m.wake <- struct{}{}:
		default:
		}
	}
	m.mu.Unlock()
	if isReady {
		m.o.Ready(uuid)
	}
}
