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

// Options describe a Monitor.
type Options struct {
	Period    time.Duration // between two beats; 0 is DefaultPeriod
	MaxMisses int           // beats in a row that a heart may miss; 0 is DefaultMaxMisses
	Grace     time.Duration // how long an engine may have no connection; 0 is DefaultGrace
	Leaves    int           // broadcast leaves; an engine uses leaf id mod Leaves; 0 is none

	// Ready is called when a pending engine can be used, Lost when an engine
	// that is pending or ready has gone. They are called once for each
	// registration, without locks, on any goroutine.
	Ready  func(uuid string)
	Lost   func(uuid, cause string)
	Curve  *curve.Config // nil: not encrypted
	Limits sockets.Limits
	Log    hclog.Logger // nil discards
}

// Monitor watches engines. All methods are safe for concurrent use.
type Monitor struct {
	Ping *sockets.Socket // PUB; to be listened on by the owner
	Pong *sockets.Socket // ROUTER; likewise

	o     Options
	log   hclog.Logger
	start time.Time
	wake  chan struct{} // holds one token when lonely has got its first item

	mu     sync.Mutex
	hearts map[string]*heart // by uuid: connected, pending or ready
	lonely []lonely          // by deadline, for the grace is the same for all
}

// Channel is a socket that an engine connects to.
type Channel uint8

// The channels. An engine is ready when it is on all of them.
const (
	Mux Channel = iota
	Task
	Control
	Pong
	channels // how many
)

var channelNames = [channels]string{"mux", "task", "control", "hb_pong"}

// heart is what is known of one engine.
type heart struct {
	state    state
	id       int // the engine's number, while pending or ready
	conns    [channels]int
	leaves   map[int]int // connections to broadcast leaves
	beating  bool        // a ping has come back since its hb_pong is connected
	answered bool        // a ping has come back since the last beat
	misses   int
	beats    int       // while pending: beats that it has answered
	seen     bool      // it has had a connection
	alone    time.Time // since when it has none any more
}

type state uint8

const (
	unknown state = iota // not registered here
	pending              // asked to register
	ready                // announced
)

// lonely is an engine that will be lost at a time unless something connects.
type lonely struct {
	uuid  string
	since time.Time
}

// New makes a Monitor; Run starts it.
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
	m.Ping = sockets.New(sockets.Pub, sockets.Options{Subscribed: m.greet, Curve: o.Curve, Limits: o.Limits, Log: log})
	m.Pong = sockets.New(sockets.Router, sockets.Options{
		Handler:      m.hear,
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

// greet sends a heart that has just subscribed a ping of its own.
func (m *Monitor) greet(c *sockets.Conn, _ []byte, on bool) {
	if on {
		_ = c.Send(m.text()) // one that has left already is no loss
	}
}

// hear takes what a heart sends.
func (m *Monitor) hear(c *sockets.Conn, frames [][]byte) {
	if len(frames) == 0 || !m.pong(string(c.Identity()), frames[0]) {
		m.log.Debug("heart sent something that is no recent ping", "engine", string(c.Identity()), "peer", c.RemoteAddr())
	}
}

// Run beats until ctx ends.
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
			if err := m.Ping.Send(m.text()); err != nil {
				return fmt.Errorf("heartbeat: %w", err)
			}
		case <-m.wake:
		case <-grace.C:
		}
		if next, any := m.bury(time.Now()); any {
			grace.Reset(time.Until(next))
		}
	}
}

// Pending tells that an engine has asked to register and got this id.
func (m *Monitor) Pending(uuid string, id int) {
	m.change(uuid, func(h *heart) { h.state, h.id, h.beats = pending, id, 0 })
}

// Registered tells that an engine is registered. For one that was not pending,
// restored after a restart, the beats that it may miss are counted from now.
func (m *Monitor) Registered(uuid string, id int) {
	m.change(uuid, func(h *heart) {
		if h.id = id; h.state != ready {
			h.announce()
		}
	})
}

// Forget tells that an engine is not registered any more.
func (m *Monitor) Forget(uuid string) {
	m.change(uuid, func(h *heart) { h.state = unknown })
}

// Connected and Disconnected tell of an engine's connections. One connection
// may be told of before the end of the one that it replaces.
func (m *Monitor) Connected(on Channel, uuid string) {
	m.change(uuid, func(h *heart) { h.conns[on]++ })
}

// Disconnected is the opposite of Connected.
func (m *Monitor) Disconnected(on Channel, uuid string) {
	m.change(uuid, func(h *heart) {
		if h.conns[on]--; h.conns[Pong] == 0 {
			h.beating = false
		}
	})
}

// LeafConnected and LeafDisconnected tell of connections to a broadcast leaf.
func (m *Monitor) LeafConnected(leaf int, uuid string) { m.leaf(leaf, uuid, 1) }

// LeafDisconnected is the opposite of LeafConnected.
func (m *Monitor) LeafDisconnected(leaf int, uuid string) { m.leaf(leaf, uuid, -1) }

func (m *Monitor) leaf(leaf int, uuid string, by int) {
	m.change(uuid, func(h *heart) {
		if h.leaves == nil {
			h.leaves = map[int]int{}
		}
		if h.leaves[leaf] += by; h.leaves[leaf] == 0 {
			delete(h.leaves, leaf)
		}
	})
}

// change applies f to an engine's heart and acts on what follows from it.
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
		h.seen, h.alone = true, time.Time{}
	case h.state == unknown:
		delete(m.hearts, uuid)
	case h.seen && h.alone.IsZero():
		h.alone = time.Now()
		m.lonely = append(m.lonely, lonely{uuid, h.alone})
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
