package controller

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/connfile"
	"github.com/ipcore/ipcore/internal/filelock"
)

// files are the connection files of one cluster. Their lock keeps other controllers
// of the same profile and cluster id from starting.
type files struct {
	client, engine string // paths
	lock           *filelock.Lock
	written        map[string][]byte // the text written, by path
	log            hclog.Logger
}

// claim locks the files of the cluster. The error wraps ErrRunning when another
// controller has them.
func claim(o *Options) (*files, error) {
	dir := o.Profile.SecurityDir()
	client, engine := connfile.Names(o.ClusterID)
	f := &files{
		client: filepath.Join(dir, client), engine: filepath.Join(dir, engine),
		written: map[string][]byte{}, log: o.Log,
	}
	lock, err := filelock.Try(filepath.Join(dir, connfile.LockName(o.ClusterID)))
	if errors.Is(err, filelock.ErrHeld) {
		return nil, f.runningError()
	}
	if err != nil {
		return nil, fmt.Errorf("controller: %w", err)
	}
	f.lock = lock
	// A controller on another machine may hold a lock that this machine does not see.
	if info, err := connfile.ReadClient(f.client); err == nil && isAlive(info) {
		f.release()
		return nil, f.runningError()
	}
	return f, nil
}

// ErrRunning is wrapped by the error of Run when a controller of the same profile
// and cluster id is running.
var ErrRunning = errors.New("a controller of this profile and cluster id is running")

func (f *files) runningError() error {
	return fmt.Errorf("controller: %w: its file is %s; stop it first, or use another cluster id", ErrRunning, f.client)
}

// read returns the files that a previous controller left, if both are complete and
// match each other.
func (f *files) read() (*connfile.Client, *connfile.Engine, error) {
	c, err := connfile.ReadClient(f.client)
	if err != nil {
		return nil, nil, err
	}
	e, err := connfile.ReadEngine(f.engine)
	if err != nil {
		return nil, nil, err
	}
	if c.Key != e.Key || serverKey(c.CurveServerKey) != serverKey(e.CurveServerKey) || c.Registration != e.Registration || c.Pack != e.Pack || c.Unpack != e.Unpack || c.SignatureScheme != e.SignatureScheme {
		return nil, nil, fmt.Errorf("%s and %s do not belong to the same controller", f.client, f.engine)
	}
	return c, e, nil
}

// write writes both files, the engines' first: a program that waits for the
// clients' file can then start engines.
func (f *files) write(c *connfile.Client, e *connfile.Engine) error {
	for _, file := range []struct {
		path string
		v    any
	}{{f.engine, e}, {f.client, c}} {
		text, err := connfile.Format(file.v)
		if err != nil {
			return fmt.Errorf("controller: %w", err)
		}
		f.log.Info("writing connection info to " + file.path)
		if err := connfile.Write(file.path, file.v); err != nil {
			return fmt.Errorf("controller: %w", err)
		}
		f.written[file.path] = text
	}
	return nil
}

// remove deletes the files that write wrote, unless they have changed since.
func (f *files) remove() {
	for path, text := range f.written {
		now, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) || err == nil && !bytes.Equal(now, text) {
			continue
		}
		if err == nil {
			err = os.Remove(path)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			f.log.Warn("connection file not removed", "path", path, "error", err)
		}
	}
}

// release unlocks the files for other controllers.
func (f *files) release() {
	if err := f.lock.Remove(); err != nil {
		f.log.Warn("lock file not removed", "error", err)
	}
}

// reusedPorts returns the ports of a previous controller's files in the order in
// which listen takes them: engines' and clients'.
func reusedPorts(c *connfile.Client, e *connfile.Engine) (engine, client []int) {
	engine = []int{e.Registration, e.Control, e.Mux, e.Task, e.IOPub, e.HBPing, e.HBPong}
	client = []int{c.Control, c.Mux, c.Task, c.IOPub, c.Notification, c.Broadcast}
	return slices.Concat(engine, e.Broadcast), client
}
