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
	joinTimeout  = 10 * time.Second // for the reply of a controller that engines join
	joinInterval = time.Second      // between two looks at that controller's connection file
)

// joinedID returns the id of the ith cluster of engines that have joined another cluster.
func joinedID(joined string, i int) string {
	id := "engines-" + strconv.Itoa(i)
	if joined == "" {
		return id
	}
	return joined + "-" + id
}

// findController reads the connection file of the controller that the engines will join,
// and counts the engines that it already has. If only the engines' connection file exists,
// as on a machine to which it was copied, the controller can't be queried, so Start does
// not wait for engines.
func (c *Cluster) findController(ctx context.Context) error {
	info, err := readEngineFile(c.engineFile())
	if err != nil {
		return &NoControllerError{ID: c.opts.hubID(), File: c.engineFile(), Err: err}
	}
	c.joinedIdentity = identity(info)
	if c.engineSelection.Executable.Info.Remote && strings.HasPrefix(info.Interface, "tcp://127.") {
		c.opts.Progress(Progress{Stage: StageNote, Note: "warning: the controller listens only on its own machine (" + info.Interface +
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

// watchController returns a channel that is closed when the controller that the engines
// have joined was stopped: its connection file no longer exists, or belongs to another
// controller. A controller that was killed, or that keeps its files for its next start,
// leaves its connection file; engines then wait for the controller as long as they are
// configured to.
func (c *Cluster) watchController() <-chan struct{} {
	gone := make(chan struct{})
	c.watchers.Go(func() {
		t := time.NewTicker(joinInterval)
		defer t.Stop()
		missed := false // whether it was missing the last time
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

// identity returns what distinguishes a controller from others: the key that signs
// messages, and the controller's public key if connections are encrypted.
func identity(f connfile.Engine) string {
	if f.CurveServerKey != nil {
		return f.Key + " " + *f.CurveServerKey
	}
	return f.Key
}

// readEngineFile reads the engines' connection file of any controller, also one that
// package connfile would refuse.
func readEngineFile(path string) (f connfile.Engine, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return f, err
	}
	err = json.Unmarshal(text, &f)
	return f, err
}

// engineFile returns the path of the engines' connection file.
func (c *Cluster) engineFile() string {
	_, engine := connfile.Names(c.opts.hubID())
	return filepath.Join(c.opts.Profile.SecurityDir(), engine)
}

// StopOrder divides the cluster files of clusters that will be stopped into joined, engines
// that joined a controller, and own, clusters with a controller. The joined ones have to be
// stopped first, so that their engines can unregister. StopOrder adds the engines that have
// joined one of the clusters.
func StopOrder(p profile.Profile, files []string) (joined, own []string, err error) {
	all, err := Files(p)
	if err != nil {
		return nil, nil, err
	}
	for _, file := range all {
		r, err := clusterfile.ReadRecord(file)
		if err != nil || r.Extension.Joins == nil {
			continue // stopping the cluster reports the error
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
