package sdk

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/stats"
)

// neverConnected is how long a plugin waits for its host's first connection.
const connectTimeout = 60 * time.Second

// pipePoll is how often a plugin that nobody has connected to looks whether its
// host still reads its stdout.
const pipeInterval = 200 * time.Millisecond

// shutdownMethod is go-plugin's call that asks a plugin to end.
const shutdownMethod = "/plugin.GRPCController/Shutdown"

// leash ends the plugin when its host is gone: when the last connection has
// ended, or none came at all. A connection counts from its TLS handshake on.
type hostWatch struct {
	log          hclog.Logger
	connectTimer *time.Timer

	mu            sync.Mutex
	conns         int
	stop          func() // ends the gRPC server
	stopped       bool
	shutdownAsked bool // the host asked the plugin to end
	hostLost      bool // the last connection ended without that

	first     sync.Once
	connected chan struct{} // closed by the first connection
}

var _ stats.Handler = (*hostWatch)(nil)

func newHostWatch(log hclog.Logger, never time.Duration) *hostWatch {
	l := &hostWatch{log: log, connected: make(chan struct{})}
	l.connectTimer = time.AfterFunc(never, func() {
		log.Error("no connection from the host, ending", "waited", never.String())
		l.stopServer()
	})
	return l
}

// hold says how the server is stopped.
func (l *hostWatch) setStop(stop func()) {
	l.mu.Lock()
	l.stop = stop
	released := l.stopped
	l.mu.Unlock()
	if released {
		stop()
	}
}

// release stops the server.
func (l *hostWatch) stopServer() {
	l.mu.Lock()
	first := !l.stopped
	l.stopped = true
	stop := l.stop
	l.mu.Unlock()
	if first && stop != nil {
		stop()
	}
}

// watchPipe ends the plugin when its host dies before it has connected: the
// pipe that the host reads our line from then has no reader. It returns with the
// first connection, or when done is closed.
func (l *hostWatch) watchPipe(done <-chan struct{}) {
	tick := time.NewTicker(pipeInterval)
	defer tick.Stop()
	for {
		select {
		case <-l.connected:
			return
		case <-done:
			return
		case <-tick.C:
			if stdoutHasNoReader() {
				l.log.Error("the host is gone before it connected, ending")
				l.stopServer()
				return
			}
		}
	}
}

// end stops the timer.
func (l *hostWatch) stopTimer() { l.connectTimer.Stop() }

// hostDied tells whether the host went without asking the plugin to end.
func (l *hostWatch) hostDied() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hostLost
}

// TagRPC notes when the host asks the plugin to end.
func (l *hostWatch) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	if info.FullMethodName == shutdownMethod {
		l.mu.Lock()
		l.shutdownAsked = true
		l.mu.Unlock()
	}
	return ctx
}

// HandleRPC does nothing; a stats.Handler has it.
func (l *hostWatch) HandleRPC(context.Context, stats.RPCStats) {}

// TagConn does nothing; a stats.Handler has it.
func (l *hostWatch) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn counts connections.
func (l *hostWatch) HandleConn(_ context.Context, s stats.ConnStats) {
	l.mu.Lock()
	last := false
	switch s.(type) {
	case *stats.ConnBegin:
		l.connectTimer.Stop()
		l.first.Do(func() { close(l.connected) })
		l.conns++
	case *stats.ConnEnd:
		l.conns--
		last = l.conns == 0
		l.hostLost = last && !l.shutdownAsked
	}
	l.mu.Unlock()
	if last {
		// Not on this goroutine: the server waits for its connections.
		go l.stopServer()
	}
}
