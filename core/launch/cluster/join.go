package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ipcore/ipcore/core/connfile"
	"github.com/ipcore/ipcore/core/launch/clusterfile"
	"github.com/ipcore/ipcore/core/profile"
)

const (
	// joinLimit is how long a controller that engines join has to answer.
	joinTimeout = 10 * time.Second
	// joinLook is the interval at which the controller's file is looked at.
	joinInterval = time.Second
)

// joinedID is the id of the ith cluster of engines that have joined another one.
func joinedID(joined string, i int) string {
	id := "engines-" + strconv.Itoa(i)
	if joined == "" {
		return id
	}
	return joined + "-" + id
}

// meet looks for the controller that engines are to join and counts the engines
// that it has already. Where only the engines' connection file is, as on a machine
// that it was sent to, nobody can ask the controller, and nobody waits.
func (c *Cluster) findController(ctx context.Context) error {
	there, err := readEngineFile(c.engineFile())
	if err != nil {
		return &NoControllerError{ID: c.opts.hubID(), File: c.engineFile(), Err: err}
	}
	c.joinedIdentity = identity(there)
	if c.engineSelection.Executable.Info.Remote && strings.HasPrefix(there.Interface, "tcp://127.") {
		c.opts.Progress(Progress{Stage: StageNote, Note: "warning: the controller listens only on its own machine (" + there.Interface +
			"): engines on other machines can't reach it without a tunnel, unless it is started to listen on all addresses"})
	}
	if _, err := os.Stat(c.clientFile()); errors.Is(err, fs.ErrNotExist) {
		c.opts.Wait, c.unreachable = WaitNone, true
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	if c.enginesBefore, err = c.opts.view.CountEngines(limited, c.clientFile()); err != nil {
		return &NoControllerError{ID: c.opts.hubID(), File: c.clientFile(), Err: err}
	}
	return nil
}

// watchController answers a channel that is closed when the controller that the
// engines have joined was stopped: its connection file has gone, or is another
// controller's. One that is only killed, or keeps its files to be started again,
// leaves its file, and engines wait for it as long as they do.
func (c *Cluster) watchController() <-chan struct{} {
	gone := make(chan struct{})
	c.watchers.Go(func() {
		t := time.NewTicker(joinInterval)
		defer t.Stop()
		missed := false // the last time
		for {
			select {
			case <-c.watching.Done():
				return
			case <-t.C:
			}
			now, err := readEngineFile(c.engineFile())
			missing := errors.Is(err, fs.ErrNotExist) || err == nil && identity(now) != c.joinedIdentity
			if missing && missed {
				close(gone)
				return
			}
			missed = missing
		}
	})
	return gone
}

// identity tells controllers apart: by the key that signs messages, or, where they
// are encrypted instead, by the controller's public key.
func identity(f connfile.Engine) string {
	if f.CurveServerKey != nil {
		return f.Key + " " + *f.CurveServerKey
	}
	return f.Key
}

// readEngineFile reads the engines' connection file of any controller, as far as it
// can be understood.
func readEngineFile(path string) (f connfile.Engine, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return f, err
	}
	err = json.Unmarshal(text, &f)
	return f, err
}

// engineFile is the path of the engines' connection file.
func (c *Cluster) engineFile() string {
	_, engine := connfile.Names(c.opts.hubID())
	return filepath.Join(c.opts.Profile.SecurityDir(), engine)
}

// InOrder sorts the cluster files of a profile that are to be stopped: first come
// those of engines that joined a controller, so that they can take their leave of
// it. Engines that have joined one of the clusters are added to them.
func StopOrder(p profile.Profile, files []string) (joined, own []string, err error) {
	all, err := Files(p)
	if err != nil {
		return nil, nil, err
	}
	for _, file := range all {
		r, err := clusterfile.ReadRecord(file)
		if err != nil || r.Extension.Joins == nil {
			continue // who stops it is told what is wrong with it
		}
		if slices.Contains(files, file) || slices.Contains(files, clusterfile.Path(p.SecurityDir(), *r.Extension.Joins)) {
			joined = append(joined, file)
		}
	}
	for _, file := range files {
		if !slices.Contains(joined, file) {
			own = append(own, file)
		}
	}
	return joined, own, nil
}
