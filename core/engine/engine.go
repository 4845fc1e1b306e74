package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/connfile"
	"github.com/ipcore/ipcore/core/engine/worker"
	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/sockets/curve"
	"github.com/ipcore/ipcore/core/wire"
	"github.com/ipcore/ipcore/internal/python"
)

// engine is one running engine.
type engine struct {
	opts      Options
	log       hclog.Logger
	end       context.CancelCauseFunc            // makes Run return the cause
	wg        sync.WaitGroup                     // goroutines that start workers
	processes sync.WaitGroup                     // workers whose Exited has not returned
	closers   []func(linger time.Duration) error // closes the connections

	// Set by the registration and not changed afterwards.
	session    *wire.Session
	curve      *curve.Config // nil: connections are not encrypted
	id         int
	topic      string          // "engine.<id>."
	quotedUUID string          // JSON
	metadata   json.RawMessage // {"engine": uuid}
	period     time.Duration   // of heartbeats

	registration *sockets.Socket
	shell        *link
	control      *link
	iopub        *iopub
	heart        *heart

	// mu guards the fields below. Messages are sent while it is held, since sending
	// never blocks and calls no callback. Lock order: engine.mu before those of link,
	// iopub and worker.Process.
	mu              sync.Mutex
	registered      bool
	stopping        bool
	worker          *worker.Process // nil while none is running
	ready           bool            // the worker accepts requests
	python          pythonInfo
	stable          bool // the worker has been ready for requests
	failures        int  // workers in a row that died before they were stable
	queue           queue
	running         *request
	last            *request // the last request, whose output may still arrive
	aborted         idSet
	cells           int            // execution_count
	sessions        map[string]int // client sessions by id, numbered for the worker
	sessionCount    int
	startup         []cell      // run before the queue continues
	bytesSinceFree  int64       // bytes of buffers since memory was last returned to the system
	freeMemoryTimer *time.Timer // returns memory to the system
	frames          [][]byte    // scratch space of send
}

// pythonInfo is the worker's description of its interpreter.
type pythonInfo struct {
	Pid    int    `json:"pid"`
	Python string `json:"python"`
}

// Time limits when the engine ends.
const (
	quitGrace = 500 * time.Millisecond // for exit handlers of user code
	linger    = time.Second            // for the last messages
)

// Run runs an engine until it ends. It returns nil after ctx is done or after a
// shutdown_request, and otherwise the cause; see ExitCode. It returns after the worker
// and all connections have ended.
func Run(ctx context.Context, o Options) error {
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	if len(o.command) == 0 {
		interpreter, err := python.Find(o.Python, os.Getenv)
		if err != nil {
			return err
		}
		o.command = worker.Command(interpreter)
	}
	outer := ctx
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	e := &engine{opts: o, log: o.Log, end: end, sessions: make(map[string]int)}

	// The worker starts while the engine finds the controller and registers.
	e.wg.Go(e.startWorker)
	defer e.close()

	err = e.run(ctx)
	if ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
		return err
	}
	if err = context.Cause(ctx); outer.Err() != nil || errors.Is(err, errShutdown) {
		return nil
	}
	return err
}

// errShutdown is the cause of a requested end.
var errShutdown = errors.New("shut down")

// run connects, registers and serves requests.
func (e *engine) run(ctx context.Context) error {
	info, err := connectionInfo(ctx, &e.opts)
	if err != nil {
		return err
	}
	if err := e.open(info); err != nil {
		return err
	}
	if err := e.register(ctx, info); err != nil {
		return err
	}
	defer e.unregister(strconv.Itoa(e.id))
	if err := e.connect(ctx, info); err != nil {
		return err
	}
	return e.serve(ctx)
}

// open creates the session and determines whether connections are encrypted.
func (e *engine) open(info *connfile.Engine) error {
	signer, err := wire.NewSigner(info.SignatureScheme, info.Key)
	if err != nil {
		return err
	}
	e.session, err = wire.NewSession(e.opts.UUID, signer, info.Pack)
	if err != nil {
		return err
	}
	serverKey := e.opts.CurveServerKey
	if info.CurveServerKey != nil && *info.CurveServerKey != "" {
		serverKey = *info.CurveServerKey
	}
	if e.curve, err = curve.ClientConfig(serverKey); err != nil {
		return err
	}
	e.quotedUUID = string(appendQuoted(nil, e.session.ID))
	e.metadata = json.RawMessage(`{"engine": ` + e.quotedUUID + `}`)
	return nil
}

// connect opens the engine's connections, and starts the heartbeat once they are
// established.
func (e *engine) connect(ctx context.Context, info *connfile.Engine) error {
	identity := []byte(e.session.ID)
	const links = 5 // mux, task, broadcast leaf, control, iopub
	standing := make(chan struct{}, links)
	up := func() {
		select {
		case standing <- struct{}{}:
		default:
		}
	}
	log := e.opts.Log.With("engine", e.id)
	shell := newLink(identity, e.curve, log.Named("shell"), e.handleShell, up)
	control := newLink(identity, e.curve, log.Named("control"), e.handleControl, up)
	iopub := newIOPub(e.session, e.curve, log.Named("iopub"), up)
	heart := newHeart(identity, e.curve, log.Named("heart"))
	e.closers = append(e.closers, shell.close, control.close, iopub.close, heart.close)
	e.mu.Lock()
	e.log, e.topic = log, "engine."+strconv.Itoa(e.id)+"."
	e.shell, e.control, e.iopub, e.heart = shell, control, iopub, heart
	e.publish("status", "status", nil, stateStarting)
	e.registered = true
	e.sendHello()
	e.mu.Unlock()

	leaf := info.Broadcast[e.id%len(info.Broadcast)]
	err := errors.Join(
		shell.socket.Dial(info.URL(info.Mux)),
		shell.socket.Dial(info.URL(info.Task)),
		shell.socket.Dial(info.URL(leaf)),
		control.socket.Dial(info.URL(info.Control)),
		iopub.socket.Dial(info.URL(info.IOPub)),
	)
	if err != nil {
		return err
	}
	limit := time.NewTimer(e.opts.Timeout)
	defer limit.Stop()
	for shell.up()+control.up() < links-1 || !iopub.hasSubscriber() {
		select {
		case <-standing:
			continue
		case <-ctx.Done():
			return ctx.Err()
		case <-limit.C:
			e.log.Warn("some of the controller's ports can't be reached; starting the heartbeat anyway",
				"shell", shell.up(), "of", 3, "control", control.up(), "iopub", iopub.hasSubscriber())
		}
		break
	}
	return heart.start(info.URL(info.HBPing), info.URL(info.HBPong))
}

// serve waits for the end and checks the heartbeat.
func (e *engine) serve(ctx context.Context) error {
	beat := time.NewTicker(e.period + 500*time.Millisecond)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case _, ok := <-e.opts.Interrupts:
			if !ok {
				e.opts.Interrupts = nil
			} else if err := e.interrupt(os.Interrupt); err != nil {
				e.log.Warn("cannot interrupt", "error", err)
			}
		case <-beat.C:
			missed := e.heart.check()
			if missed == 1 || missed > 0 && missed%10 == 0 {
				e.log.Warn("no heartbeat from the controller", "period", e.period, "in a row", missed)
			}
			if limit := e.opts.MaxHeartbeatMisses; limit > 0 && missed > limit {
				return fmt.Errorf("%w: no heartbeat for %v", ErrControllerGone, time.Duration(missed)*e.period)
			}
		}
	}
}

// close ends the worker and the connections.
func (e *engine) close() {
	e.mu.Lock()
	e.stopping = true
	if e.freeMemoryTimer != nil {
		e.freeMemoryTimer.Stop()
	}
	e.mu.Unlock()
	e.wg.Wait() // workers that were being started now exist
	e.mu.Lock()
	w, grace := e.worker, quitGrace
	if e.running != nil || !e.ready {
		grace = 0 // it would not receive the request to quit
	}
	e.mu.Unlock()
	if w != nil {
		w.Stop(grace)
	}
	e.processes.Wait()
	var wg sync.WaitGroup
	for _, closeSocket := range e.closers {
		wg.Go(func() {
			if err := closeSocket(linger); err != nil {
				e.log.Debug("close", "error", err)
			}
		})
	}
	wg.Wait()
}
