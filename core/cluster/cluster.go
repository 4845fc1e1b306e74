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
	"github.com/ipcore/ipcore/core/registry"
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

// Cluster is one controller and its engine sets. New or Load makes it; Start
// or Adopt gives it something to watch; Supervise waits for its end; Stop ends
// it. Close lets it go and leaves what runs running.
type Cluster struct {
	opts Options
	log  hclog.Logger
	file string

	watching context.Context // of the units' watch goroutines
	cancel   context.CancelFunc

	hosts map[string]*host // by path of the executable; fixed before units start

	mu         sync.Mutex // comes before each unit's mu
	record     *Record
	written    bool // the cluster file is ours to rewrite and remove
	controller *unit
	engines    []*unit

	missed error // what Adopt could not take up; set before Stop
}

// New checks the options and makes a cluster of which nothing runs. It touches
// no file.
func New(o Options) (*Cluster, error) {
	if err := o.resolve(); err != nil {
		return nil, err
	}
	c := &Cluster{opts: o, log: o.Log, file: Path(o.Profile.SecurityDir(), o.ID), hosts: map[string]*host{}}
	c.watching, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// File is the path of the cluster file.
func (c *Cluster) File() string { return c.file }

// clientFile is the path of the client's connection file.
func (c *Cluster) clientFile() string {
	client, _ := connfile.Names(c.opts.ID)
	return filepath.Join(c.opts.Profile.SecurityDir(), client)
}

// N is the number of engines asked for.
func (c *Cluster) N() int { return c.opts.N }

// Start starts the controller and the engines and returns when all engines
// have registered. After an error nothing is left running and the files are
// removed. RunningError: the cluster runs already, and goes on.
func (c *Cluster) Start(ctx context.Context) (err error) {
	controllers, engines, err := c.find(ctx)
	if err != nil {
		return err
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
	if c.opts.CleanLogs {
		if err := removeLogs(c.opts.Profile, c.opts.ID); err != nil {
			c.log.Warn("old logs stay", "error", err)
		}
	}
	c.opts.Progress(Progress{Stage: StageController, N: c.opts.N})
	if err := c.startController(ctx, c.host(controllers)); err != nil {
		return err
	}
	c.opts.Progress(Progress{Stage: StageEngines, N: c.opts.N})
	set, err := c.startEngines(ctx, c.host(engines))
	if err != nil {
		return err
	}
	return c.awaitEngines(ctx, set)
}

// find resolves both launchers, before anything runs.
func (c *Cluster) find(ctx context.Context) (controllers, engines *registry.Found, err error) {
	search := registry.Search{ProfileDir: c.opts.Profile.Dir}
	controllers, err = registry.Find(ctx, sdk.Controller, c.opts.Controller, search)
	if err != nil {
		return nil, nil, fmt.Errorf("--controller: %w", err)
	}
	engines, err = registry.Find(ctx, sdk.Engine, c.opts.Engines, search)
	if err != nil {
		return nil, nil, fmt.Errorf("--engines: %w", err)
	}
	return controllers, engines, nil
}

// host answers the one host of an executable.
func (c *Cluster) host(found *registry.Found) *host {
	h := c.hosts[found.Path]
	if h == nil {
		h = &host{found: found, log: c.log.Named("plugin")}
		c.hosts[found.Path] = h
	}
	return h
}

// startController starts the controller and waits for its connection files.
func (c *Cluster) startController(ctx context.Context, h *host) error {
	command, err := c.opts.controllerCommand()
	if err != nil {
		return err
	}
	u := newUnit(sdk.Controller, controllerID, h, c.log, c.save)
	c.mu.Lock()
	c.controller = u
	c.record.Own.Paths[u.id] = h.found.Path
	c.mu.Unlock()
	client, engine := connfile.Names(c.opts.ID)
	written := filesOf(c.opts.Profile.SecurityDir(), client, engine)
	if c.opts.keepsFiles() {
		written.forget() // the controller may find nothing to change in them
	}
	err = u.start(ctx, c.watching, sdk.StartRequest{
		Kind: u.kind, ID: u.id, ProfileDir: c.opts.Profile.Dir, ClusterID: c.opts.ID,
		Command: command, Env: c.opts.environment(), LogDir: c.opts.Profile.LogDir(),
	})
	if err != nil {
		return fmt.Errorf("start the controller: %w", err)
	}
	waiting, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	return c.awaitController(waiting, u, written)
}

// awaitController waits until both connection files are there.
func (c *Cluster) awaitController(ctx context.Context, u *unit, written files) error {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	ready := make(chan error, 1)
	go func() { ready <- written.await(waiting) }()
	select {
	case <-u.ended:
		cancel()
		<-ready //nolint:errcheck // of the wait that was cancelled
		return u.failure("the controller", "before it was ready")
	case err := <-ready:
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("the controller wrote no connection files within %v; look at its log in %s, or give it longer with --timeout", c.opts.Timeout, c.opts.Profile.LogDir())
		}
		return err
	}
}

// startEngines asks for the engine set.
func (c *Cluster) startEngines(ctx context.Context, h *host) (*unit, error) {
	command, err := c.opts.engineCommand()
	if err != nil {
		return nil, err
	}
	environment := c.opts.environment()
	if privateEnvironment[h.found.Name] {
		_, name := connfile.Names(c.opts.ID)
		text, err := os.ReadFile(filepath.Join(c.opts.Profile.SecurityDir(), name))
		if err != nil {
			return nil, fmt.Errorf("read the controller's engine file: %w", err)
		}
		environment["IPP_CONNECTION_INFO"] = string(text)
	}
	u := newUnit(sdk.Engine, c.newSetID(), h, c.log, c.save)
	c.mu.Lock()
	c.engines = append(c.engines, u)
	c.record.Engines.Class = h.found.Name
	c.record.Own.Paths[u.id] = h.found.Path
	c.record.Own.Starting = append(c.record.Own.Starting, u.id)
	err = c.record.Write(c.file) // the intent: named before started
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	n := c.opts.N
	err = u.start(ctx, c.watching, sdk.StartRequest{
		Kind: u.kind, ID: u.id, N: &n, ProfileDir: c.opts.Profile.Dir, ClusterID: c.opts.ID,
		Command: command, Env: environment, LogDir: c.opts.Profile.LogDir(),
	})
	if err != nil {
		return nil, fmt.Errorf("start the engines: %w", err)
	}
	return u, nil
}

// privateEnvironment names the launchers whose workload's environment nobody
// else can read, so that the key may be in it. A batch system shows it to
// everybody; its engines find the key in the profile's files.
var privateEnvironment = map[string]bool{"local": true, "ssh": true}

// newSetID answers an unused engine set id: the time, as upstream has it.
func (c *Cluster) newSetID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := strconv.FormatInt(time.Now().Unix(), 10)
	id := now
	for i := 1; ; i++ {
		if _, used := c.record.Own.Paths[id]; !used {
			return id
		}
		id = now + "-" + strconv.Itoa(i)
	}
}

// save brings the cluster file up to date with a unit.
func (c *Cluster) save(u *unit) {
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
func (c *Cluster) enter(u *unit) {
	r := c.record
	starting := r.Own.Starting[:0]
	for _, id := range r.Own.Starting {
		if id != u.id {
			starting = append(starting, id)
		}
	}
	r.Own.Starting = starting
	state, alive := u.snapshot()
	switch {
	case u.hasEnded() && u.kind == sdk.Controller:
		r.Controller = nil
	case u.hasEnded():
		delete(r.Engines.Sets, u.id)
		delete(r.Own.Alive, u.id)
	case u.kind == sdk.Controller:
		r.Controller = &Unit{Class: u.host.found.Name, State: state}
	default:
		r.Engines.Sets[u.id] = state
		r.Own.Alive[u.id] = alive
	}
}

// units answers all units.
func (c *Cluster) units() []*unit {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := append([]*unit(nil), c.engines...)
	if c.controller != nil {
		all = append(all, c.controller)
	}
	return all
}

// Supervise waits until the cluster has ended by itself, or ctx ends. Nil: the
// controller ended in order (a client asked for it) and nothing is left. An
// EndedError: the controller died; what was left has been stopped. The ctx's
// error: all goes on, Stop or Close is next.
func (c *Cluster) Supervise(ctx context.Context) error {
	u := c.controller
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-u.ended:
	}
	u.mu.Lock()
	orderly := u.exit.Code == 0
	u.mu.Unlock()
	if orderly {
		c.awaitEnds(ctx, patience) // the engines were told to end as well
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer cancel()
	err := c.Stop(limited)
	if !orderly {
		err = errors.Join(u.failure("the controller", "unexpectedly"), err)
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
	for waiting := len(units); waiting > 0; {
		select {
		case e := <-results:
			err = errors.Join(err, e)
			waiting--
		case <-impatient.C:
			c.log.Warn("some processes do not end; killing them")
			err = errors.Join(err, c.Kill(ctx))
		}
	}
	if err == nil {
		err = c.removeFiles()
	} else {
		err = fmt.Errorf("%w: %w", ErrLeft, err)
	}
	c.Close()
	return err
}

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
	var err error
	if !c.record.Own.Keep {
		client, engine := connfile.Names(c.opts.ID)
		err = errors.Join(removeIfThere(filepath.Join(c.opts.Profile.SecurityDir(), client)), removeIfThere(filepath.Join(c.opts.Profile.SecurityDir(), engine)))
	}
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
	for _, u := range c.units() {
		u.wait()
	}
	for _, h := range c.hosts {
		h.close()
	}
}
