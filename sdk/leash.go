package sdk

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/stats"
)

// neverConnected is how long a plugin waits for its host's first connection.
const neverConnected = 60 * time.Second

// pipePoll is how often a plugin that nobody has connected to looks whether its
// host still reads its stdout.
const pipePoll = 200 * time.Millisecond

// shutdownMethod is go-plugin's call that asks a plugin to end.
const shutdownMethod = "/plugin.GRPCController/Shutdown"

// leash ends the plugin when its host is gone: when the last connection has
// ended, or none came at all. A connection counts from its TLS handshake on.
type leash struct {
	log   hclog.Logger
	never *time.Timer

	mu       sync.Mutex
	conns    int
	stop     func() // ends the gRPC server
	released bool
	asked    bool // the host asked the plugin to end
	deserted bool // the last connection ended without that

	begun     sync.Once
	connected chan struct{} // closed by the first connection
}

var _ stats.Handler = (*leash)(nil)

func newLeash(log hclog.Logger, never time.Duration) *leash {
	l := &leash{log: log, connected: make(chan struct{})}
	l.never = time.AfterFunc(never, func() {
		log.Error("no connection from the host, ending", "waited", never.String())
		l.release()
	})
	return l
}

// hold says how the server is stopped.
func (l *leash) hold(stop func()) {
	l.mu.Lock()
	l.stop = stop
	released := l.released
	l.mu.Unlock()
	if released {
		stop()
	}
}

// release stops the server.
func (l *leash) release() {
	l.mu.Lock()
	first := !l.released
	l.released = true
	stop := l.stop
	l.mu.Unlock()
	if first && stop != nil {
		stop()
	}
}

// watchPipe ends the plugin when its host dies before it has connected: the
// pipe that the host reads our line from then has no reader. It returns with the
// first connection, or when done is closed.
func (l *leash) watchPipe(done <-chan struct{}) {
	tick := time.NewTicker(pipePoll)
	defer tick.Stop()
	for {
		select {
		case <-l.connected:
			return
		case <-done:
			return
		case <-tick.C:
			if stdoutAbandoned() {
				l.log.Error("the host is gone before it connected, ending")
				l.release()
				return
			}
		}
	}
}

// end stops the timer.
func (l *leash) end() { l.never.Stop() }

// hostDied tells whether the host went without asking the plugin to end.
func (l *leash) hostDied() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.deserted
}

// TagRPC notes when the host asks the plugin to end.
func (l *leash) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	if info.FullMethodName == shutdownMethod {
		l.mu.Lock()
		l.asked = true
		l.mu.Unlock()
	}
	return ctx
}

// HandleRPC does nothing; a stats.Handler has it.
func (l *leash) HandleRPC(context.Context, stats.RPCStats) {}

// TagConn does nothing; a stats.Handler has it.
func (l *leash) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn counts connections.
func (l *leash) HandleConn(_ context.Context, s stats.ConnStats) {
	l.mu.Lock()
	last := false
	switch s.(type) {
	case *stats.ConnBegin:
		l.never.Stop()
		l.begun.Do(func() { close(l.connected) })
		l.conns++
	case *stats.ConnEnd:
		l.conns--
		last = l.conns == 0
		l.deserted = last && !l.asked
	}
	l.mu.Unlock()
	if last {
		// Not on this goroutine: the server waits for its connections.
		go l.release()
	}
}
