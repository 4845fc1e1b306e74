package sdk

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/stats"
)

// connectTimeout is how long a plugin waits for its host's first connection.
const connectTimeout = 60 * time.Second

// pipeInterval is how often a plugin without a connection checks whether its host
// still reads its stdout.
const pipeInterval = 200 * time.Millisecond

// shutdownMethod is go-plugin's call that asks a plugin to end.
const shutdownMethod = "/plugin.GRPCController/Shutdown"

// hostWatch ends the plugin when its host is gone: when the last connection has ended,
// or when none was made in time. A connection counts after its TLS handshake.
type hostWatch struct {
	log          hclog.Logger
	connectTimer *time.Timer

	mu            sync.Mutex
	conns         int
	stop          func() // ends the gRPC server
	stopped       bool
	shutdownAsked bool // the host called Shutdown
	hostLost      bool // the last connection ended without a Shutdown

	first     sync.Once
	connected chan struct{} // closed by the first connection
}

var _ stats.Handler = (*hostWatch)(nil)

func newHostWatch(log hclog.Logger, timeout time.Duration) *hostWatch {
	w := &hostWatch{log: log, connected: make(chan struct{})}
	w.connectTimer = time.AfterFunc(timeout, func() {
		log.Error("ending: the host did not connect", "waited", timeout.String())
		w.stopServer()
	})
	return w
}

// setStop sets the function that stops the server. If stopServer was called before,
// setStop calls the function.
func (w *hostWatch) setStop(stop func()) {
	w.mu.Lock()
	w.stop = stop
	stopped := w.stopped
	w.mu.Unlock()
	if stopped {
		stop()
	}
}

// stopServer stops the server. It may be called more than once.
func (w *hostWatch) stopServer() {
	w.mu.Lock()
	first := !w.stopped
	w.stopped = true
	stop := w.stop
	w.mu.Unlock()
	if first && stop != nil {
		stop()
	}
}

// watchPipe ends the plugin when its host dies before it has connected. Then the pipe
// on the plugin's stdout, from which the host reads the handshake, has no reader.
// watchPipe returns at the first connection, or when done is closed.
func (w *hostWatch) watchPipe(done <-chan struct{}) {
	tick := time.NewTicker(pipeInterval)
	defer tick.Stop()
	for {
		select {
		case <-w.connected:
			return
		case <-done:
			return
		case <-tick.C:
			if stdoutHasNoReader() {
				w.log.Error("ending: the host died before it connected")
				w.stopServer()
				return
			}
		}
	}
}

// stopTimer stops the timer for the first connection.
func (w *hostWatch) stopTimer() { w.connectTimer.Stop() }

// hostDied reports whether the last connection ended although the host had not asked
// the plugin to end.
func (w *hostWatch) hostDied() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hostLost
}

// TagRPC records when the host asks the plugin to end.
func (w *hostWatch) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	if info.FullMethodName == shutdownMethod {
		w.mu.Lock()
		w.shutdownAsked = true
		w.mu.Unlock()
	}
	return ctx
}

// HandleRPC does nothing; stats.Handler requires it.
func (w *hostWatch) HandleRPC(context.Context, stats.RPCStats) {}

// TagConn does nothing; stats.Handler requires it.
func (w *hostWatch) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn counts connections.
func (w *hostWatch) HandleConn(_ context.Context, s stats.ConnStats) {
	w.mu.Lock()
	last := false
	switch s.(type) {
	case *stats.ConnBegin:
		w.connectTimer.Stop()
		w.first.Do(func() { close(w.connected) })
		w.conns++
	case *stats.ConnEnd:
		w.conns--
		last = w.conns == 0
		w.hostLost = last && !w.shutdownAsked
	}
	w.mu.Unlock()
	if last {
		// In a goroutine of its own, because the server waits for its connections.
		go w.stopServer()
	}
}
