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

// socketDir is the folder for a plugin's socket and certificate. Its name contains the pid
// of this process, which holds a lock in it while it is running. If both this process and
// the plugin are killed, the next newSocketDir of any process removes the folder.
type socketDir struct {
	path string
	lock *filelock.Lock
}

// socketDirForm is the name of a finished socketDir: ipc-<pid>-<random>.
var socketDirForm = regexp.MustCompile(`^ipc-([0-9]+)-[0-9]+$`)

// lockName is the file in a socketDir that is locked.
const lockName = "lock"

// newSocketDir creates a folder that only the user can access. Its path is short, because
// the path of a socket can have at most about 100 bytes.
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
	return nil, fmt.Errorf("create a folder for the plugin's socket: %w", errors.Join(errs...))
}

// socketDirIn creates the folder under another name and renames it when it holds the lock,
// so that removeDead never finds it without the lock.
func socketDirIn(parent string) (*socketDir, error) {
	hidden := "."
	if runtime.GOOS == "windows" {
		hidden = "" // a folder that contains an open file can't be renamed
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

// removeDead deletes the folders of processes that have ended.
func removeDead(parent string) {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return // the folder can't be listed
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
		// The process may be running in another container that shares the folder.
		path := filepath.Join(parent, e.Name())
		if _, err := os.Stat(filepath.Join(path, lockName)); err != nil {
			continue
		}
		lock, err := filelock.Try(filepath.Join(path, lockName))
		if err != nil {
			continue // it is held, or belongs to another user
		}
		_ = errors.Join(lock.Remove(), os.RemoveAll(path)) // if this fails, the next call tries again
	}
}
