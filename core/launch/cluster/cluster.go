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

	"github.com/ipcore/ipcore/core/launch/clusterfile"

	"github.com/ipcore/ipcore/core/launch/settings"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/connfile"
	"github.com/ipcore/ipcore/core/launch/registry"
	"github.com/ipcore/ipcore/internal/atomicfile"
	"github.com/ipcore/ipcore/internal/filelock"
	"github.com/ipcore/ipcore/sdk"
)

// controllerID is the unit id of the controller.
const controllerID = "controller"

// Time limits of an end. A Stop that was given no deadline of its own takes at
// most stopLimit; processes that have not ended after patience are killed.
const (
	stopLimit = 10 * time.Second
	patience  = 3 * time.Second
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

	hosts map[string]*pluginProcess // by path of the executable; fixed before units start

	mu         sync.Mutex // comes before each unit's mu
	record     *clusterfile.Record
	written    bool // the cluster file is ours to rewrite and remove
	controller *workload
	engines    []*workload

	// What settings make of the launchers; set by find, before anything starts.
	controllerUse, engineUse *settings.Selection

	watchers sync.WaitGroup // of lost engine connections
	joined   string         // the identity of the controller that engines joined
	before   int            // engines that it had before
	turn     int            // of "engines-<turn>", for engines that joined

	missed error    // what Adopt could not take up; set before Stop
	left   Leftover // what Stop found left over
}

// New checks the options and makes a cluster of which nothing runs. It touches
// no file.
func New(o Options) (*Cluster, error) {
	if err := o.resolve(); err != nil {
		return nil, err
	}
	c := &Cluster{opts: o, log: o.Log, file: clusterfile.Path(o.Profile.SecurityDir(), o.ID), hosts: map[string]*pluginProcess{}}
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
	if err := c.find(ctx); err != nil {
		return err
	}
	if c.opts.Join != nil {
		if err := c.meet(ctx); err != nil {
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
			limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
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
		if err := c.startController(ctx, c.host(c.controllerUse.Executable)); err != nil {
			return err
		}
	}
	c.opts.Progress(Progress{Stage: StageEngines, N: c.opts.N})
	set, err := c.startEngines(ctx, c.host(c.engineUse.Executable))
	if err != nil {
		return err
	}
	if c.opts.lost != nil {
		c.watchers.Go(c.watchLosses)
	}
	return c.awaitEngines(ctx, set)
}

// find resolves the launchers and their settings, before anything runs.
func (c *Cluster) find(ctx context.Context) error {
	search := registry.Search{ProfileDir: c.opts.Profile.Dir, Python: c.opts.Python}
	var uses []*settings.Selection
	var warnings []string
	use := func(kind sdk.Kind, name string) (*settings.Selection, error) {
		f, err := registry.Find(ctx, kind, name, search)
		if err != nil {
			return nil, &LauncherError{kind, err}
		}
		if f.OldName != "" {
			warnings = append(warnings, fmt.Sprintf("the launcher %s has a new name: %s", f.OldName, f.Name))
		}
		uses = append(uses, &settings.Selection{Executable: f, Kind: kind})
		return uses[len(uses)-1], nil
	}
	var err error
	if c.opts.Join == nil {
		if c.controllerUse, err = use(sdk.Controller, c.opts.Controller); err != nil {
			return err
		}
	}
	if c.engineUse, err = use(sdk.Engine, c.opts.Engines); err != nil {
		return err
	}
	more, err := settings.Configure(uses, c.opts.Settings)
	if err != nil {
		return err
	}
	warnings = append(more, warnings...)
	for _, w := range warnings {
		c.opts.Progress(Progress{Stage: StageNote, Note: "warning: " + w})
	}
	return nil
}

// host answers the one host of an executable.
func (c *Cluster) host(found *registry.Executable) *pluginProcess {
	h := c.hosts[found.Path]
	if h == nil {
		h = &pluginProcess{found: found, log: c.log.Named("plugin")}
		c.hosts[found.Path] = h
	}
	return h
}

// startController starts the controller and waits for its connection files.
func (c *Cluster) startController(ctx context.Context, h *pluginProcess) error {
	r, err := c.controllerRequest()
	if err != nil {
		return err
	}
	u := c.newUnit(sdk.Controller, controllerID, h)
	c.mu.Lock()
	c.controller = u
	c.note(u, c.controllerUse)
	c.mu.Unlock()
	client, engine := connfile.Names(c.opts.hubID())
	written := filesOf(c.opts.Profile.SecurityDir(), client, engine)
	if c.opts.keepsFiles() {
		written.forget() // the controller may find nothing to change in them
	}
	if err := u.start(ctx, c.watching, r); err != nil {
		return fmt.Errorf("start the controller: %w", err)
	}
	waiting, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	return c.awaitController(waiting, u, written)
}

// awaitController waits until both connection files are there: written by the
// controller, or fetched by its launcher from where it runs.
func (c *Cluster) awaitController(ctx context.Context, u *workload, written files) error {
	waiting, cancel := context.WithCancel(ctx)
	var waiters sync.WaitGroup
	defer waiters.Wait()
	defer cancel()
	ready := make(chan error, 1)
	waiters.Go(func() { ready <- written.await(waiting) })
	var fetched chan error
	if u.host.found.Info.Has(sdk.CapabilityConnectionInfo) {
		fetched = make(chan error, 1)
		waiters.Go(func() { fetched <- c.fetch(waiting, u, written) })
	}
	for {
		select {
		case <-u.ended:
			return u.failure("the controller", "before it was ready")
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
				return &ControllerTimeoutError{Timeout: c.opts.Timeout, Status: u.says(), LogDir: c.opts.Profile.LogDir()}
			}
			return err
		}
	}
}

// fetch writes the connection files that the launcher answers, unless they have
// come by themselves.
func (c *Cluster) fetch(ctx context.Context, u *workload, written files) error {
	l, err := u.current(ctx)
	if err != nil {
		return err
	}
	info, err := l.ConnectionInfo(ctx)
	if err != nil {
		return err
	}
	// What carries the connections is part of the state from now on.
	if err := u.takeState(ctx, l); err != nil {
		return err
	}
	c.save(u)
	if written.ready() {
		return nil
	}
	// The client's file last: it is what clients wait for.
	if err := atomicfile.Write(c.engineFile(), info.Engine, 0o600); err != nil {
		return err
	}
	return atomicfile.Write(c.clientFile(), info.Client, 0o600)
}

// controllerRequest is the request for the controller.
func (c *Cluster) controllerRequest() (sdk.StartRequest, error) {
	remote := c.controllerUse.Executable.Info.Remote || c.engineUse.Executable.Info.Remote
	command, err := c.opts.controllerCommand(c.controllerUse, remote)
	if err != nil {
		return sdk.StartRequest{}, err
	}
	return c.request(c.controllerUse, controllerID, command)
}

// engineRequest is the request for an engine set, without the key.
func (c *Cluster) engineRequest(id string) (sdk.StartRequest, error) {
	command, err := c.opts.engineCommand(c.engineUse)
	if err != nil {
		return sdk.StartRequest{}, err
	}
	r, err := c.request(c.engineUse, id, command)
	n := c.opts.N
	r.N = &n
	return r, err
}

// request is what requests of both kinds have.
func (c *Cluster) request(use *settings.Selection, id string, command []string) (sdk.StartRequest, error) {
	env, err := c.opts.environment(use, c.tag)
	return sdk.StartRequest{
		Kind: use.Kind, ID: id, ProfileDir: c.opts.Profile.Dir, ClusterID: c.opts.hubID(),
		Command: command, Env: env, WorkDir: workDir(use), LogDir: c.opts.Profile.LogDir(), Options: use.Options,
		Tag: c.tag, ClientFile: c.clientFile(), EngineFile: c.engineFile(),
	}, err
}

// note writes into the record what has to be known of a unit before it starts.
// c.mu is held.
func (c *Cluster) note(u *workload, use *settings.Selection) {
	c.record.Extension.Paths[u.id] = u.host.found.Path
	if public := settings.WithoutSecrets(use.Executable.Info, use.Options); public != nil {
		c.record.Extension.Options[u.host.found.Path] = public
	}
}

// startEngines asks for the engine set.
func (c *Cluster) startEngines(ctx context.Context, h *pluginProcess) (*workload, error) {
	u := c.newUnit(sdk.Engine, c.newSetID(), h)
	r, err := c.engineRequest(u.id)
	if err != nil {
		return nil, err
	}
	if h.found.Info.PrivateEnv {
		text, err := os.ReadFile(r.EngineFile)
		if err != nil {
			return nil, fmt.Errorf("read the controller's engine file: %w", err)
		}
		r.Env["IPP_CONNECTION_INFO"] = string(text)
	}
	c.mu.Lock()
	c.engines = append(c.engines, u)
	c.record.Engines.Class = h.found.Name
	c.note(u, c.engineUse)
	c.record.Extension.Starting = append(c.record.Extension.Starting, u.id)
	err = c.record.Write(c.file) // the intent: named before started
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := u.start(ctx, c.watching, r); err != nil {
		return nil, fmt.Errorf("start the engines: %w", err)
	}
	return u, nil
}

// newSetID answers an unused engine set id: the time, as upstream has it. Sets that
// joined one controller in the same second differ too: their logs have its cluster's
// id in their names.
func (c *Cluster) newSetID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := strconv.FormatInt(time.Now().Unix(), 10)
	if c.turn > 0 {
		now += "-" + strconv.Itoa(c.turn)
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
func (c *Cluster) save(u *workload) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.written {
		return
	}
	c.enter(u)
	if err := c.record.Write(c.file); err != nil {
		c.log.Error("the cluster file is out of date", "file", c.file, "error", err)
	}
}

// enter puts a unit into the record, or takes one that has ended out of it.
// c.mu is held.
func (c *Cluster) enter(u *workload) {
	r := c.record
	starting := r.Extension.Starting[:0]
	for _, id := range r.Extension.Starting {
		if id != u.id {
			starting = append(starting, id)
		}
	}
	r.Extension.Starting = starting
	state, alive := u.snapshot()
	switch {
	case u.hasEnded() && u.kind == sdk.Controller:
		r.Controller = nil
	case u.hasEnded():
		delete(r.Engines.Sets, u.id)
		delete(r.Extension.Alive, u.id)
		delete(r.Extension.Status, u.id)
		r.AddEnded(u.ending())
	case u.kind == sdk.Controller:
		r.Controller = &clusterfile.Workload{Class: u.host.found.Name, State: state}
	default:
		r.Engines.Sets[u.id] = state
		r.Extension.Alive[u.id] = alive
		if said := u.said(); said != nil {
			r.Extension.Status[u.id] = *said
		}
	}
}

// units answers all units.
func (c *Cluster) units() []*workload {
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
		first, what, gone = c.engines[0], enginesOf(c.opts.N), c.watchController()
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
			c.awaitEnds(ctx, patience) // the engines were told to end as well
		}
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
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
	for _, u := range c.units() {
		select {
		case <-u.ended:
		case <-limited.Done():
			return
		}
	}
}

// Stop ends controller and engines, removes the connection files and the
// cluster file and ends the plugins. What ended before counts as stopped.
func (c *Cluster) Stop(ctx context.Context) error {
	units := c.units()
	results := make(chan error, len(units))
	for _, u := range units {
		go func() { results <- u.stop(ctx) }()
	}
	impatient := time.NewTimer(patience)
	defer impatient.Stop()
	err := c.missed
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
		c.left = c.sweep(ctx)
		err = c.removeFiles()
	} else {
		err = fmt.Errorf("%w: %w", ErrLeftover, errors.Join(err, notKilled))
	}
	c.Close()
	return err
}

// Left answers what Stop found left over.
func (c *Cluster) Leftover() Leftover { return c.left }

// Kill ends all processes at once. Stop still has to be called, or to return.
func (c *Cluster) Kill(ctx context.Context) error {
	var err error
	for _, u := range c.units() {
		if !u.hasEnded() {
			err = errors.Join(err, u.kill(ctx))
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
		return removeIfThere(c.file)
	}
	var err error
	if !c.record.Extension.Keep {
		err = errors.Join(removeIfThere(c.clientFile()), removeIfThere(c.engineFile()))
	}
	clusterfile.ForgetTag(c.record.Extension.Tag)
	return errors.Join(err, c.removeLock(), removeIfThere(c.file))
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

func removeIfThere(path string) error {
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
	for _, u := range c.units() {
		u.wait()
	}
	for _, h := range c.hosts {
		h.close()
	}
}
