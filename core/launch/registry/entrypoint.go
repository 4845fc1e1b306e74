package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/ipcore/ipcore/internal/python"
	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

// entryPointTimeout bounds a search in a Python's packages, which imports the classes.
const entryPointTimeout = 25 * time.Second

// errNoEntryPoint means that the bridge has ended with exit code 3.
var errNoEntryPoint = errors.New("no such entry point")

// PythonError means that a Python could not be asked for a launcher's entry point.
type PythonError struct {
	Launcher string
	Python   string // path of the interpreter
	Err      error
}

func (e *PythonError) Error() string { return fmt.Sprintf("launcher %q: %v", e.Launcher, e.Err) }

// Unwrap returns the cause.
func (e *PythonError) Unwrap() error { return e.Err }

// entryPoint returns the launcher that a Python package offers under an entry point, or
// whose class path is the name, as an executable that the bridge creates in the profile.
// Python is asked only for names that no executable has, because that takes a tenth of a
// second or more. If there is no such launcher, found is nil and asked says what was asked.
func (s Search) entryPoint(ctx context.Context, name string) (found *Executable, asked string, err error) {
	bridge := s.bridge()
	if bridge == "" || s.ProfileDir == "" {
		return nil, "", nil
	}
	interpreter, err := python.Find(s.Python, s.getenv())
	if err != nil {
		return nil, fmt.Sprintf("no Python was asked for an entry point of that name: %v", err), nil
	}
	// Each Python has a folder, because two may have different launchers with one name.
	sum := sha256.Sum256([]byte(interpreter))
	dir := filepath.Join(s.ProfileDir, "launchers", "python-"+hex.EncodeToString(sum[:4]))
	out, err := runBridge(ctx, bridge, "entry-point", interpreter, name, dir)
	if errors.Is(err, errNoEntryPoint) {
		return nil, fmt.Sprintf("%s has no entry point of that name", interpreter), nil
	}
	if err != nil {
		return nil, "", &PythonError{Launcher: name, Python: interpreter, Err: err}
	}
	if found, err = findPath(strings.TrimSpace(out)); err != nil {
		return nil, "", err
	}
	found.Place.Why = "entry point of " + interpreter
	return found, "", nil
}

// EntryPoint is a launcher that a Python package offers.
type EntryPoint struct {
	Name  string   `json:"name"`
	Kind  sdk.Kind `json:"kind"`
	Class string   `json:"class"` // module:Class
}

// EntryPoints returns the launchers that packages of the user's Python register as entry
// points, without ipyparallel's own, even if executables have the same names.
func EntryPoints(ctx context.Context, s Search) (interpreter string, all []EntryPoint, err error) {
	if interpreter, err = python.Find(s.Python, s.getenv()); err != nil {
		return "", nil, err
	}
	bridge := s.bridge()
	if bridge == "" {
		return "", nil, fmt.Errorf("%s%s, which runs the launchers of Python packages, was not found next to the other launchers", Prefix, BridgeName)
	}
	out, err := runBridge(ctx, bridge, "entry-points", interpreter)
	if err == nil {
		err = json.Unmarshal([]byte(out), &all)
	}
	return interpreter, all, err
}

// runBridge runs one of the bridge's commands that end at once, and returns its output.
func runBridge(ctx context.Context, bridge string, args ...string) (string, error) {
	if err := checkSafe(bridge); err != nil {
		return "", err
	}
	limited, cancel := context.WithTimeout(ctx, entryPointTimeout)
	defer cancel()
	out, errs := process.TailBuffer{Max: describeLimit}, process.TailBuffer{Max: 4 << 10}
	cmd := exec.CommandContext(limited, bridge, args...)
	cmd.Env = process.Environ(nil)
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = 500 * time.Millisecond
	process.SetGroup(cmd)
	cmd.Cancel = func() error { return process.KillGroup(cmd.Process) }
	err := cmd.Run()
	exit, ended := errors.AsType[*exec.ExitError](err)
	switch text := strings.TrimSpace(errs.String()); {
	case ended && exit.ExitCode() == 3:
		return "", errNoEntryPoint
	case ended && text != "":
		return "", errors.New(text)
	}
	return out.String(), err
}
