package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/connfile"
	"github.com/ipcore/ipcore/core/controller/arguments"
	"github.com/ipcore/ipcore/core/launch/clusterfile"
	"github.com/ipcore/ipcore/core/launch/registry"
	"github.com/ipcore/ipcore/core/launch/settings"
	"github.com/ipcore/ipcore/internal/atomicfile"
	"github.com/ipcore/ipcore/internal/filelock"
	"github.com/ipcore/ipcore/sdk"
)

// controllerID is the workload id of the controller.
const controllerID = "controller"

const (
	stopTimeout = 10 * time.Second // of a Stop for which the caller has set no deadline
	killDelay   = 3 * time.Second  // after it, Stop kills the processes that have not ended
)

// Cluster is a controller and its engine sets, or engine sets that joined the controller
// of another cluster. New and Load create it. Start starts its processes; Adopt finds those
// that an earlier process started. Supervise waits until the cluster has ended, and Stop
// ends it. Close releases the Cluster and leaves its processes running.
type Cluster struct {
	opts Options
	log  hclog.Logger
	file string
	tag  string // of this start

	watching context.Context // of the workloads' watch goroutines
	cancel   context.CancelFunc

	processes map[string]*pluginProcess // by path of the executable; complete before workloads start

	mu         sync.Mutex // locked before any workload's mu
	record     *clusterfile.Record
	written    bool // this Cluster has to update and remove the cluster file
	controller *workload
	engines    []*workload

	// The launchers with their options, and whether the controller keeps its connection
	// files when it ends. findLaunchers sets them before anything starts.
	controllerSelection, engineSelection *settings.Selection
	keepFiles                            bool

	watchers       sync.WaitGroup // of watchLosses and watchController
	joinedIdentity string         // the identity of the controller that the engines joined
	enginesBefore  int            // how many engines that controller had before
	unreachable    bool           // that controller has no client's connection file here
	joinIndex      int            // n of the id "engines-<n>", for engines that joined

	adoptErr error    // the error of Adopt, for Stop
	leftover Leftover // what Stop has found still running
}

// New checks the options and returns a cluster of which nothing is running. It does not
// read or write files.
func New(o Options) (*Cluster, error) {
	if err := o.resolve(); err != nil {
		return nil, err
	}
	c := &Cluster{opts: o, log: o.Log, file: clusterfile.Path(o.Profile.SecurityDir(), o.ID), processes: map[string]*pluginProcess{}}
	c.tag = clusterfile.NewTag(o.Profile.Dir, o.ID)
	c.watching, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// File returns the path of the cluster file.
func (c *Cluster) File() string { return c.file }

// clientFile returns the path of the clients' connection file.
func (c *Cluster) clientFile() string {
	client, _ := connfile.Names(c.opts.hubID())
	return filepath.Join(c.opts.Profile.SecurityDir(), client)
}

// ID returns the cluster's id. For engines that join a controller, Start chooses it:
// "engines-1", or "night-engines-1" if the controller's cluster has the id "night".
func (c *Cluster) ID() string { return c.opts.ID }

// N returns the number of engines that were requested.
func (c *Cluster) N() int { return c.opts.N }

// Start starts the controller and the engines, and returns when all engines have
// registered. After an error nothing is left running, and the files are removed.
// RunningError: the cluster is already running, and continues.
func (c *Cluster) Start(ctx context.Context) (err error) {
	if err := c.findLaunchers(ctx); err != nil {
		return err
	}
	if c.opts.Join != nil {
		if err := c.findController(ctx); err != nil {
			return err
		}
	}
	if err := c.opts.Profile.Create(); err != nil {
		return fmt.Errorf("create the profile directory: %w", err)
	}
	if err := c.claim(ctx); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
			defer cancel()
			err = errors.Join(err, c.Stop(limited))
		}
	}()
	if c.opts.CleanLogs && c.opts.Join == nil {
		if err := clusterfile.RemoveLogs(c.opts.Profile, c.opts.ID); err != nil {
			c.log.Warn("can't remove old logs", "error", err)
		}
	}
	if c.opts.Join == nil {
		c.opts.Progress(Progress{Stage: StageController, N: c.opts.N})
		if err := c.startController(ctx, c.processOf(c.controllerSelection.Executable)); err != nil {
			return err
		}
	}
	c.opts.Progress(Progress{Stage: StageEngines, N: c.opts.N})
	set, err := c.startEngines(ctx, c.processOf(c.engineSelection.Executable))
	if err != nil {
		return err
	}
	if !c.unreachable {
		c.watchers.Go(c.watchLosses)
	}
	return c.awaitEngines(ctx, set)
}

// findLaunchers finds the launchers and applies their settings, before anything is started.
func (c *Cluster) findLaunchers(ctx context.Context) error {
	search := registry.Search{ProfileDir: c.opts.Profile.Dir, Python: c.opts.Python}
	var selections []*settings.Selection
	var warnings []string
	selection := func(kind sdk.Kind, name string) (*settings.Selection, error) {
		executable, err := registry.Find(ctx, kind, name, search)
		if err != nil {
			return nil, &LauncherError{kind, err}
		}
		if executable.OldName != "" {
			warnings = append(warnings, fmt.Sprintf("the launcher %s has a new name: %s", executable.OldName, executable.Name))
		}
		selections = append(selections, &settings.Selection{Executable: executable, Kind: kind})
		return selections[len(selections)-1], nil
	}
	var err error
	if c.opts.Join == nil {
		if c.controllerSelection, err = selection(sdk.Controller, c.opts.Controller); err != nil {
			return err
		}
	}
	if c.engineSelection, err = selection(sdk.Engine, c.opts.Engines); err != nil {
		return err
	}
	more, err := settings.Configure(selections, c.opts.Settings)
	if err != nil {
		return err
	}
	warnings = append(more, warnings...)
	for _, text := range warnings {
		c.opts.Progress(Progress{Stage: StageNote, Note: "warning: " + text})
	}
	if c.opts.Join == nil {
		command, err := c.controllerCommand()
		if err != nil {
			return err
		}
		c.keepFiles = arguments.KeepFiles(command)
	}
	return nil
}

// processOf returns the plugin process of an executable. There is one for each executable.
func (c *Cluster) processOf(found *registry.Executable) *pluginProcess {
	process := c.processes[found.Path]
	if process == nil {
		process = &pluginProcess{executable: found, log: c.log.Named("plugin")}
		c.processes[found.Path] = process
	}
	return process
}

// startController starts the controller and waits for its connection files.
func (c *Cluster) startController(ctx context.Context, process *pluginProcess) error {
	r, err := c.controllerRequest()
	if err != nil {
		return err
	}
	w := c.newWorkload(sdk.Controller, controllerID, process)
	c.mu.Lock()
	c.controller = w
	c.recordIntent(w, c.controllerSelection)
	c.mu.Unlock()
	client, engine := connfile.Names(c.opts.hubID())
	written := newFileSet(c.opts.Profile.SecurityDir(), client, engine)
	if c.keepFiles {
		written.acceptOld() // the controller may not have to change them
	}
	if err := w.start(ctx, c.watching, r); err != nil {
		return fmt.Errorf("start the controller: %w", err)
	}
	waiting, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	return c.awaitController(waiting, w, written)
}

// awaitController waits until both connection files exist: either the controller has
// written them, or its launcher has fetched them from the machine where it runs.
func (c *Cluster) awaitController(ctx context.Context, w *workload, written fileSet) error {
	waiting, cancel := context.WithCancel(ctx)
	var waiters sync.WaitGroup
	defer waiters.Wait()
	defer cancel()
	ready := make(chan error, 1)
	waiters.Go(func() { ready <- written.wait(waiting) })
	var fetched chan error
	if w.process.executable.Info.Has(sdk.CapabilityConnectionInfo) {
		fetched = make(chan error, 1)
		waiters.Go(func() { fetched <- c.fetchFiles(waiting, w, written) })
	}
	for {
		select {
		case <-w.ended:
			return w.failure("the controller", "before it was ready")
		case err := <-fetched:
			switch {
			case errors.Is(err, sdk.ErrProcessState), errors.Is(err, sdk.ErrNotRunning):
				fetched = nil // w.ended follows
			case errors.Is(err, sdk.ErrUnsupported):
				fetched = nil // this controller writes its files into the profile
			case err != nil && ctx.Err() == nil:
				return fmt.Errorf("fetch the controller's connection files: %w", err)
			default:
				fetched = nil // ready follows
			}
		case err := <-ready:
			if errors.Is(err, context.DeadlineExceeded) {
				return &ControllerTimeoutError{Timeout: c.opts.Timeout, Status: w.statusText(), LogDir: c.opts.Profile.LogDir()}
			}
			return err
		}
	}
}

// fetchFiles writes the connection files that the launcher returns, unless the controller
// has written them.
func (c *Cluster) fetchFiles(ctx context.Context, w *workload, written fileSet) error {
	handle, err := w.current(ctx)
	if err != nil {
		return err
	}
	info, err := handle.ConnectionInfo(ctx)
	if err != nil {
		return err
	}
	// The state now includes tunnels that the launcher may have opened.
	if err := w.takeState(ctx, handle); err != nil {
		return err
	}
	c.save(w)
	if written.ready() {
		return nil
	}
	// Write the clients' file last, because clients wait for it.
	if err := atomicfile.Write(c.engineFile(), info.Engine, 0o600); err != nil {
		return err
	}
	return atomicfile.Write(c.clientFile(), info.Client, 0o600)
}

// controllerCommand returns the whole command of the controller.
func (c *Cluster) controllerCommand() ([]string, error) {
	remote := c.controllerSelection.Executable.Info.Remote || c.engineSelection.Executable.Info.Remote
	return c.opts.controllerCommand(c.controllerSelection, remote)
}

// controllerRequest returns the request for the controller.
func (c *Cluster) controllerRequest() (sdk.StartRequest, error) {
	command, err := c.controllerCommand()
	if err != nil {
		return sdk.StartRequest{}, err
	}
	r, err := c.request(c.controllerSelection, controllerID, command)
	r.KeepConnectionFiles = c.keepFiles || arguments.KeepFiles(ownWords(c.controllerSelection, "controller_args"))
	return r, err
}

// engineRequest returns the request for an engine set. It does not contain the key.
func (c *Cluster) engineRequest(id string) (sdk.StartRequest, error) {
	command, err := c.opts.engineCommand(c.engineSelection)
	if err != nil {
		return sdk.StartRequest{}, err
	}
	r, err := c.request(c.engineSelection, id, command)
	n := c.opts.N
	r.N = &n
	return r, err
}

// request returns the fields that the requests of both kinds have in common.
func (c *Cluster) request(selection *settings.Selection, id string, command []string) (sdk.StartRequest, error) {
	env, err := c.opts.environment(selection, c.tag)
	return sdk.StartRequest{
		Kind: selection.Kind, ID: id, ProfileDir: c.opts.Profile.Dir, ClusterID: c.opts.hubID(),
		Command: command, Env: env, WorkDir: workDir(selection), LogDir: c.opts.Profile.LogDir(), Options: selection.Options,
		Tag: c.tag, ClientFile: c.clientFile(), EngineFile: c.engineFile(),
	}, err
}

// recordIntent records what has to be known about a workload before it starts. c.mu is
// held.
func (c *Cluster) recordIntent(w *workload, selection *settings.Selection) {
	c.record.Extension.Paths[w.id] = w.process.executable.Path
	if public := settings.WithoutSecrets(selection.Executable.Info, selection.Options); public != nil {
		c.record.Extension.Options[w.process.executable.Path] = public
	}
}

// startEngines starts the engine set.
func (c *Cluster) startEngines(ctx context.Context, process *pluginProcess) (*workload, error) {
	w := c.newWorkload(sdk.Engine, c.newSetID(), process)
	r, err := c.engineRequest(w.id)
	if err != nil {
		return nil, err
	}
	if process.executable.Info.PrivateEnv {
		text, err := os.ReadFile(r.EngineFile)
		if err != nil {
			return nil, fmt.Errorf("read the controller's engine file: %w", err)
		}
		r.Env["IPP_CONNECTION_INFO"] = string(text)
	}
	c.mu.Lock()
	c.engines = append(c.engines, w)
	c.record.Engines.Class = process.executable.Name
	c.recordIntent(w, c.engineSelection)
	c.record.Extension.Starting = append(c.record.Extension.Starting, w.id)
	err = c.record.Write(c.file) // before the start, so that a crash leaves a trace
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := w.start(ctx, c.watching, r); err != nil {
		return nil, fmt.Errorf("start the engines: %w", err)
	}
	return w, nil
}

// newSetID returns an unused id for an engine set: the time, as in IPython Parallel. Sets
// that joined the same controller in the same second have different ids as well, because
// the names of their logs contain the id of the same cluster.
func (c *Cluster) newSetID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := strconv.FormatInt(time.Now().Unix(), 10)
	if c.joinIndex > 0 {
		now += "-" + strconv.Itoa(c.joinIndex)
	}
	id := now
	for i := 1; ; i++ {
		if _, used := c.record.Extension.Paths[id]; !used {
			return id
		}
		id = now + "-" + strconv.Itoa(i)
	}
}

// save updates the cluster file after a workload has changed.
func (c *Cluster) save(w *workload) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.written {
		return
	}
	c.recordWorkload(w)
	if err := c.record.Write(c.file); err != nil {
		c.log.Error("the cluster file is out of date", "file", c.file, "error", err)
	}
}

// recordWorkload puts a workload into the record, or removes it if it has ended. c.mu is
// held.
func (c *Cluster) recordWorkload(w *workload) {
	r := c.record
	starting := r.Extension.Starting[:0]
	for _, id := range r.Extension.Starting {
		if id != w.id {
			starting = append(starting, id)
		}
	}
	r.Extension.Starting = starting
	state, alive := w.snapshot()
	switch {
	case w.hasEnded() && w.kind == sdk.Controller:
		r.Controller = nil
	case w.hasEnded():
		delete(r.Engines.Sets, w.id)
		delete(r.Extension.Alive, w.id)
		delete(r.Extension.Status, w.id)
		r.AddEnded(w.endRecord())
	case w.kind == sdk.Controller:
		r.Controller = &clusterfile.Workload{Class: w.process.executable.Name, State: state}
	default:
		r.Engines.Sets[w.id] = state
		r.Extension.Alive[w.id] = alive
		if status := w.lastStatus(); status != nil {
			r.Extension.Status[w.id] = *status
		}
	}
}

// workloads returns all workloads.
func (c *Cluster) workloads() []*workload {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := append([]*workload(nil), c.engines...)
	if c.controller != nil {
		all = append(all, c.controller)
	}
	return all
}

// Supervise waits until the cluster has ended by itself or ctx ends. In all cases but the
// last, nothing is left running.
//
//   - nil: the controller exited normally, because a client asked it to; for engines that
//     joined a controller, they exited normally or their controller was stopped.
//   - EndedError: the controller, or all engines that joined one, ended unexpectedly.
//   - the error of ctx: the cluster continues; the caller has to call Stop or Close.
func (c *Cluster) Supervise(ctx context.Context) error {
	first, what := c.controller, "the controller"
	var gone <-chan struct{}
	if c.opts.Join != nil {
		first, what, gone = c.engines[0], allEngines(c.opts.N), c.watchController()
	}
	orderly := true
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-gone:
		c.opts.Progress(Progress{Stage: StageNote, Note: "the controller was stopped, so these engines are stopped as well"})
	case <-first.ended:
		first.mu.Lock()
		orderly = first.exit.Code == 0
		first.mu.Unlock()
		if orderly {
			c.awaitEnds(ctx, killDelay) // the client has told the engines to end as well
		}
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err := c.Stop(limited)
	if !orderly {
		err = errors.Join(first.failure(what, "unexpectedly"), err)
	}
	return err
}

// awaitEnds waits until all workloads have ended, but not longer than limit.
func (c *Cluster) awaitEnds(ctx context.Context, limit time.Duration) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for _, w := range c.workloads() {
		select {
		case <-w.ended:
		case <-limited.Done():
			return
		}
	}
}

// Stop ends controller and engines, removes the connection files and the cluster file, and
// ends the plugins. It is not an error if some of them had already ended. ErrLeftover: a
// part of the cluster may still be running, and the cluster file is kept.
func (c *Cluster) Stop(ctx context.Context) error {
	all := c.workloads()
	results := make(chan error, len(all))
	for _, w := range all {
		go func() { results <- w.stop(ctx) }()
	}
	killTimer := time.NewTimer(killDelay)
	defer killTimer.Stop()
	err := c.adoptErr
	var notKilled error // reported only if something does not end
	for waiting := len(all); waiting > 0; {
		select {
		case e := <-results:
			err = errors.Join(err, e)
			waiting--
		case <-killTimer.C:
			c.log.Warn("some processes do not end; killing them")
			notKilled = c.Kill(ctx)
		}
	}
	if err == nil {
		c.leftover = c.findOrphans(ctx)
		err = c.removeFiles()
	} else {
		err = fmt.Errorf("%w: %w", ErrLeftover, errors.Join(err, notKilled))
	}
	c.Close()
	return err
}

// Leftover returns what Stop has found still running.
func (c *Cluster) Leftover() Leftover { return c.leftover }

// Kill ends all processes at once. It does not replace Stop, but can be called while Stop
// is waiting.
func (c *Cluster) Kill(ctx context.Context) error {
	var err error
	for _, w := range c.workloads() {
		if !w.hasEnded() {
			err = errors.Join(err, w.kill(ctx))
		}
	}
	return err
}

// removeFiles removes the cluster file and the connection files.
func (c *Cluster) removeFiles() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.written {
		return nil
	}
	c.written = false
	if c.opts.Join != nil { // the connection files belong to a controller that continues
		clusterfile.ForgetTag(c.record.Extension.Tag)
		return removeIfExists(c.file)
	}
	var err error
	if !c.record.Extension.Keep {
		err = errors.Join(removeIfExists(c.clientFile()), removeIfExists(c.engineFile()))
	}
	clusterfile.ForgetTag(c.record.Extension.Tag)
	return errors.Join(err, c.removeLock(), removeIfExists(c.file))
}

// removeLock removes the lock file that a killed controller has left behind.
func (c *Cluster) removeLock() error {
	path := filepath.Join(c.opts.Profile.SecurityDir(), connfile.LockName(c.opts.ID))
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil // the controller removed it when it ended
	}
	held, err := filelock.Try(path)
	if errors.Is(err, filelock.ErrHeld) {
		return nil // by a controller that does not belong to this cluster
	}
	if err != nil {
		return err
	}
	return held.Remove()
}

func removeIfExists(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Close releases the Cluster: its plugins end, and its workloads keep running. Close
// returns when the Cluster's goroutines have ended.
func (c *Cluster) Close() {
	c.cancel()
	c.watchers.Wait()
	for _, w := range c.workloads() {
		w.wait()
	}
	for _, process := range c.processes {
		process.close()
	}
}
