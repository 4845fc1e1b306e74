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

// controllerID is the unit id of the controller.
const controllerID = "controller"

// Time limits of an end. A Stop that was given no deadline of its own takes at
// most stopLimit; processes that have not ended after patience are killed.
const (
	stopTimeout = 10 * time.Second
	killDelay   = 3 * time.Second
)

// Cluster is one controller and its engine sets, or engine sets that joined the
// controller of another cluster. New or Load makes it; Start
// or Adopt gives it something to watch; Supervise waits for its end; Stop ends
// it. Close lets it go and leaves what runs running.
type Cluster struct {
	opts Options
	log  hclog.Logger
	file string
	tag  string // of this start

	watching context.Context // of the units' watch goroutines
	cancel   context.CancelFunc

	processes map[string]*pluginProcess // by path of the executable; fixed before units start

	mu         sync.Mutex // comes before each unit's mu
	record     *clusterfile.Record
	written    bool // the cluster file is ours to rewrite and remove
	controller *workload
	engines    []*workload

	// The launchers with their options, and whether the controller keeps its connection
	// files when it ends. findLaunchers sets them before anything starts.
	controllerSelection, engineSelection *settings.Selection
	keepFiles                            bool

	watchers       sync.WaitGroup // of lost engine connections
	joinedIdentity string         // the identity of the controller that engines joined
	enginesBefore  int            // engines that it had before
	unreachable    bool           // there is no client's connection file for it
	joinIndex      int            // of "engines-<turn>", for engines that joined

	adoptErr error    // what Adopt could not take up; set before Stop
	leftover Leftover // what Stop found left over
}

// New checks the options and makes a cluster of which nothing runs. It touches
// no file.
func New(o Options) (*Cluster, error) {
	if err := o.resolve(); err != nil {
		return nil, err
	}
	c := &Cluster{opts: o, log: o.Log, file: clusterfile.Path(o.Profile.SecurityDir(), o.ID), processes: map[string]*pluginProcess{}}
	c.tag = clusterfile.NewTag(o.Profile.Dir, o.ID)
	c.watching, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// File is the path of the cluster file.
func (c *Cluster) File() string { return c.file }

// clientFile is the path of the client's connection file.
func (c *Cluster) clientFile() string {
	client, _ := connfile.Names(c.opts.hubID())
	return filepath.Join(c.opts.Profile.SecurityDir(), client)
}

// ID is the cluster's id. Engines that join a controller get one when they start:
// "engines-1", behind the id of the controller's cluster where that has a name.
func (c *Cluster) ID() string { return c.opts.ID }

// N is the number of engines asked for.
func (c *Cluster) N() int { return c.opts.N }

// Start starts the controller and the engines and returns when all engines
// have registered. After an error nothing is left running and the files are
// removed. RunningError: the cluster runs already, and goes on.
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
		return fmt.Errorf("make the profile directory: %w", err)
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
			c.log.Warn("old logs stay", "error", err)
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

// find resolves the launchers and their settings, before anything runs.
func (c *Cluster) findLaunchers(ctx context.Context) error {
	search := registry.Search{ProfileDir: c.opts.Profile.Dir, Python: c.opts.Python}
	var selections []*settings.Selection
	var warnings []string
	selection := func(kind sdk.Kind, name string) (*settings.Selection, error) {
		f, err := registry.Find(ctx, kind, name, search)
		if err != nil {
			return nil, &LauncherError{kind, err}
		}
		if f.OldName != "" {
			warnings = append(warnings, fmt.Sprintf("the launcher %s has a new name: %s", f.OldName, f.Name))
		}
		selections = append(selections, &settings.Selection{Executable: f, Kind: kind})
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

// host answers the one host of an executable.
func (c *Cluster) processOf(found *registry.Executable) *pluginProcess {
	h := c.processes[found.Path]
	if h == nil {
		h = &pluginProcess{executable: found, log: c.log.Named("plugin")}
		c.processes[found.Path] = h
	}
	return h
}

// startController starts the controller and waits for its connection files.
func (c *Cluster) startController(ctx context.Context, h *pluginProcess) error {
	r, err := c.controllerRequest()
	if err != nil {
		return err
	}
	w := c.newWorkload(sdk.Controller, controllerID, h)
	c.mu.Lock()
	c.controller = w
	c.recordIntent(w, c.controllerSelection)
	c.mu.Unlock()
	client, engine := connfile.Names(c.opts.hubID())
	written := newFileSet(c.opts.Profile.SecurityDir(), client, engine)
	if c.keepFiles {
		written.acceptOld() // the controller may find nothing to change in them
	}
	if err := w.start(ctx, c.watching, r); err != nil {
		return fmt.Errorf("start the controller: %w", err)
	}
	waiting, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	return c.awaitController(waiting, w, written)
}

// awaitController waits until both connection files are there: written by the
// controller, or fetched by its launcher from where it runs.
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
				fetched = nil // u.ended tells more
			case errors.Is(err, sdk.ErrUnsupported):
				fetched = nil // this controller writes into the profile
			case err != nil && ctx.Err() == nil:
				return fmt.Errorf("fetch the controller's connection files: %w", err)
			default:
				fetched = nil // ready tells
			}
		case err := <-ready:
			if errors.Is(err, context.DeadlineExceeded) {
				return &ControllerTimeoutError{Timeout: c.opts.Timeout, Status: w.statusText(), LogDir: c.opts.Profile.LogDir()}
			}
			return err
		}
	}
}

// fetch writes the connection files that the launcher answers, unless they have
// come by themselves.
func (c *Cluster) fetchFiles(ctx context.Context, w *workload, written fileSet) error {
	handle, err := w.current(ctx)
	if err != nil {
		return err
	}
	info, err := handle.ConnectionInfo(ctx)
	if err != nil {
		return err
	}
	// What carries the connections is part of the state from now on.
	if err := w.takeState(ctx, handle); err != nil {
		return err
	}
	c.save(w)
	if written.ready() {
		return nil
	}
	// The client's file last: it is what clients wait for.
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

// controllerRequest is the request for the controller.
func (c *Cluster) controllerRequest() (sdk.StartRequest, error) {
	command, err := c.controllerCommand()
	if err != nil {
		return sdk.StartRequest{}, err
	}
	r, err := c.request(c.controllerSelection, controllerID, command)
	r.KeepConnectionFiles = c.keepFiles || arguments.KeepFiles(ownWords(c.controllerSelection, "controller_args"))
	return r, err
}

// engineRequest is the request for an engine set, without the key.
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

// request is what requests of both kinds have.
func (c *Cluster) request(selection *settings.Selection, id string, command []string) (sdk.StartRequest, error) {
	env, err := c.opts.environment(selection, c.tag)
	return sdk.StartRequest{
		Kind: selection.Kind, ID: id, ProfileDir: c.opts.Profile.Dir, ClusterID: c.opts.hubID(),
		Command: command, Env: env, WorkDir: workDir(selection), LogDir: c.opts.Profile.LogDir(), Options: selection.Options,
		Tag: c.tag, ClientFile: c.clientFile(), EngineFile: c.engineFile(),
	}, err
}

// note writes into the record what has to be known of a unit before it starts.
// c.mu is held.
func (c *Cluster) recordIntent(w *workload, selection *settings.Selection) {
	c.record.Extension.Paths[w.id] = w.process.executable.Path
	if public := settings.WithoutSecrets(selection.Executable.Info, selection.Options); public != nil {
		c.record.Extension.Options[w.process.executable.Path] = public
	}
}

// startEngines asks for the engine set.
func (c *Cluster) startEngines(ctx context.Context, h *pluginProcess) (*workload, error) {
	w := c.newWorkload(sdk.Engine, c.newSetID(), h)
	r, err := c.engineRequest(w.id)
	if err != nil {
		return nil, err
	}
	if h.executable.Info.PrivateEnv {
		text, err := os.ReadFile(r.EngineFile)
		if err != nil {
			return nil, fmt.Errorf("read the controller's engine file: %w", err)
		}
		r.Env["IPP_CONNECTION_INFO"] = string(text)
	}
	c.mu.Lock()
	c.engines = append(c.engines, w)
	c.record.Engines.Class = h.executable.Name
	c.recordIntent(w, c.engineSelection)
	c.record.Extension.Starting = append(c.record.Extension.Starting, w.id)
	err = c.record.Write(c.file) // the intent: named before started
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := w.start(ctx, c.watching, r); err != nil {
		return nil, fmt.Errorf("start the engines: %w", err)
	}
	return w, nil
}

// newSetID answers an unused engine set id: the time, as upstream has it. Sets that
// joined one controller in the same second differ too: their logs have its cluster's
// id in their names.
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

// save brings the cluster file up to date with a unit.
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

// enter puts a unit into the record, or takes one that has ended out of it.
// c.mu is held.
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
		if said := w.lastStatus(); said != nil {
			r.Extension.Status[w.id] = *said
		}
	}
}

// units answers all units.
func (c *Cluster) workloads() []*workload {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := append([]*workload(nil), c.engines...)
	if c.controller != nil {
		all = append(all, c.controller)
	}
	return all
}

// Supervise waits until the cluster has ended by itself, or ctx ends. Nil: the
// controller ended in order (a client asked for it), or engines that joined one did,
// or theirs has gone; nothing is left. An EndedError: it, or they, died; what was
// left has been stopped. The ctx's error: all goes on, Stop or Close is next.
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
		c.opts.Progress(Progress{Stage: StageNote, Note: "the controller was stopped, and so are these engines"})
	case <-first.ended:
		first.mu.Lock()
		orderly = first.exit.Code == 0
		first.mu.Unlock()
		if orderly {
			c.awaitEnds(ctx, killDelay) // the engines were told to end as well
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

// awaitEnds waits until all units have ended, for at most the time given.
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

// Stop ends controller and engines, removes the connection files and the
// cluster file and ends the plugins. What ended before counts as stopped.
func (c *Cluster) Stop(ctx context.Context) error {
	units := c.workloads()
	results := make(chan error, len(units))
	for _, w := range units {
		go func() { results <- w.stop(ctx) }()
	}
	impatient := time.NewTimer(killDelay)
	defer impatient.Stop()
	err := c.adoptErr
	var notKilled error // matters when something does not end
	for waiting := len(units); waiting > 0; {
		select {
		case e := <-results:
			err = errors.Join(err, e)
			waiting--
		case <-impatient.C:
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

// Left answers what Stop found left over.
func (c *Cluster) Leftover() Leftover { return c.leftover }

// Kill ends all processes at once. Stop still has to be called, or to return.
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
	if c.opts.Join != nil { // the files are those of a controller that goes on
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

// removeLock removes the lock file of a controller that was killed.
func (c *Cluster) removeLock() error {
	path := filepath.Join(c.opts.Profile.SecurityDir(), connfile.LockName(c.opts.ID))
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil // the controller removed it at its end
	}
	held, err := filelock.Try(path)
	if errors.Is(err, filelock.ErrHeld) {
		return nil // of a controller that is none of ours
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

// Close lets the cluster go: plugins end, workloads go on. It returns when
// nothing of the Cluster runs in this process any more.
func (c *Cluster) Close() {
	c.cancel()
	c.watchers.Wait()
	for _, w := range c.workloads() {
		w.wait()
	}
	for _, h := range c.processes {
		h.close()
	}
}
