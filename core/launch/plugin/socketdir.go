package plugin

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"

	"github.com/ipcore/ipcore/internal/filelock"
	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

// socketDir is the folder for a plugin's socket and certificate. It is named for
// this process, which holds a lock in it for as long as it lives: one whose
// process and plugin were both killed is swept away by the next that is made.
type socketDir struct {
	path string
	lock *filelock.Lock
}

// socketDirForm is the name of a finished socketDir: ipc-<pid>-<random>.
var socketDirForm = regexp.MustCompile(`^ipc-([0-9]+)-[0-9]+$`)

// lockName is the file in a socketDir that is locked.
const lockName = "lock"

// newSocketDir makes a folder of the user's own, and a short one, since a
// socket's path has at most some 100 bytes.
func newSocketDir() (*socketDir, error) {
	parents := []string{process.Getenv("XDG_RUNTIME_DIR"), "/tmp", os.TempDir()}
	if runtime.GOOS == "windows" {
		parents = []string{process.Getenv("LOCALAPPDATA"), os.TempDir()}
	}
	var errs []error
	for _, parent := range parents {
		if parent == "" || len(parent) > 60 {
			continue
		}
		d, err := socketDirIn(parent)
		if err == nil {
			removeDead(parent)
			return d, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("make a folder for the plugin's socket: %w", errors.Join(errs...))
}

// socketDirIn makes the folder under another name and gives it its own when the
// lock is held, so that a sweep never finds it without.
func socketDirIn(parent string) (*socketDir, error) {
	hidden := "."
	if runtime.GOOS == "windows" {
		hidden = "" // a folder with an open file can't be renamed there
	}
	made, err := os.MkdirTemp(parent, fmt.Sprintf("%sipc-%d-", hidden, os.Getpid()))
	if err != nil {
		return nil, err
	}
	lock, err := filelock.Try(filepath.Join(made, lockName))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(made))
	}
	d := &socketDir{path: filepath.Join(parent, strings.TrimPrefix(filepath.Base(made), ".")), lock: lock}
	if err := os.Rename(made, d.path); err != nil {
		return nil, errors.Join(err, lock.Remove(), os.RemoveAll(made))
	}
	return d, nil
}

// remove deletes the folder.
func (d *socketDir) remove() error {
	return errors.Join(d.lock.Remove(), os.RemoveAll(d.path))
}

// sweep deletes the folders of processes that have ended.
func removeDead(parent string) {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return // not ours to list: nothing to sweep
	}
	for _, e := range entries {
		form := socketDirForm.FindStringSubmatch(e.Name())
		if form == nil || !e.IsDir() {
			continue
		}
		pid, err := strconv.Atoi(form[1])
		if err != nil || pid == os.Getpid() {
			continue
		}
		if _, err := process.Attach(process.State{PID: pid}); !errors.Is(err, sdk.ErrNotRunning) {
			continue
		}
		// The process may live in another container that shares the folder.
		path := filepath.Join(parent, e.Name())
		if _, err := os.Stat(filepath.Join(path, lockName)); err != nil {
			continue
		}
		lock, err := filelock.Try(filepath.Join(path, lockName))
		if err != nil {
			continue // held, or another user's
		}
		_ = errors.Join(lock.Remove(), os.RemoveAll(path)) // the next sweep tries again
	}
}
