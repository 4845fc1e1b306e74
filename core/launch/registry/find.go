package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

// Prefix begins the name of every launcher's executable.
const Prefix = "ipcore-launcher-"

// Search says where to look for launchers. The zero value looks everywhere except in a
// profile.
type Search struct {
	ProfileDir string // "" for none
	Python     string // the interpreter to ask for entry points; "" means the one that an engine would use

	// For tests; nil means those of this process.
	Getenv     func(string) string
	Executable func() (string, error)
}

// SearchDir is a folder in which launchers are looked for.
type SearchDir struct {
	Dir string `json:"dir"`
	Why string `json:"why"` // "IPCORE_LAUNCHER_PATH", "profile", ...
}

// Executable is the program file of a launcher.
type Executable struct {
	Name     string    `json:"name"`
	Path     string    `json:"path"` // absolute
	Place    SearchDir `json:"place"`
	Info     sdk.Info  `json:"info"`               // how the executable describes itself; zero if Err is set
	Shadowed []string  `json:"shadowed,omitempty"` // executables of the same name in later folders
	Bridge   string    `json:"bridge,omitempty"`   // the executable that serves it, if it is a script
	OldName  string    `json:"-"`                  // the name that was given to Find, if it is a former one
	Err      error     `json:"-"`                  // why it can't be used

	pins map[string][]string // of the profile: the checksums that are allowed for each name
}

// Command returns the command that starts the plugin.
func (e *Executable) Command() []string {
	if e.Bridge != "" {
		return []string{e.Bridge, e.Path}
	}
	return []string{e.Path}
}

// BridgeName is the name of the executable that serves launchers that are scripts. It is
// not a launcher itself.
const BridgeName = "exec"

// inspect checks whether the executable can be used, and asks it to describe itself.
func (s Search) inspect(ctx context.Context, found *Executable) {
	if found.pins, found.Err = s.pins(); found.Err != nil {
		return
	}
	if found.Err = found.Verify(found.Path); found.Err != nil {
		return
	}
	if found.Info, found.Err = describe(ctx, found.Path); found.Err == nil && found.Info.Speaks == sdk.SpeaksScript {
		found.Bridge = s.bridge()
	}
}

// bridge returns the path of the executable that serves scripts, or "" if it does not
// exist.
func (s Search) bridge() string {
	for _, folder := range s.Dirs() {
		path := filepath.Join(folder.Dir, executableName(BridgeName))
		if i, err := os.Stat(path); err == nil && executable(i, path) {
			return path
		}
	}
	return ""
}

func (s Search) getenv() func(string) string {
	if s.Getenv == nil {
		return process.Getenv
	}
	return s.Getenv
}

// Verify returns an error unless an executable may be run: no other user can have put it
// there, and it is the one that the profile pins.
func (e *Executable) Verify(path string) error {
	if err := checkSafe(path); err != nil {
		return err
	}
	name := e.Name
	if path == e.Bridge {
		name = BridgeName
	}
	return checkPin(path, e.pins[name])
}

// executableName returns the file name of a launcher's executable.
func executableName(name string) string {
	if runtime.GOOS == "windows" {
		return Prefix + name + ".exe"
	}
	return Prefix + name
}

// Dirs returns the folders that are searched, in order. They need not exist.
func (s Search) Dirs() []SearchDir {
	getenv, executable := s.getenv(), s.Executable
	if executable == nil {
		executable = os.Executable
	}
	var folders []SearchDir
	add := func(why string, dirs ...string) {
		for _, dir := range dirs {
			abs, err := filepath.Abs(dir)
			if dir == "" || err != nil || slices.ContainsFunc(folders, func(p SearchDir) bool { return p.Dir == abs }) {
				continue
			}
			folders = append(folders, SearchDir{Dir: abs, Why: why})
		}
	}
	add("IPCORE_LAUNCHER_PATH", filepath.SplitList(getenv("IPCORE_LAUNCHER_PATH"))...)
	if s.ProfileDir != "" {
		add("profile", filepath.Join(s.ProfileDir, "launchers"))
	}
	if data := userData(getenv); data != "" {
		add("user data", filepath.Join(data, "ipcore", "launchers"))
	}
	if exe, err := executable(); err == nil {
		if real, err := filepath.EvalSymlinks(exe); err == nil {
			exe = real
		}
		bin := filepath.Dir(exe)
		add("libexec", filepath.Join(filepath.Dir(bin), "libexec", "ipcore"))
		add("next to ipcore", bin)
	}
	return folders
}

// userData returns the folder for the user's data.
func userData(getenv func(string) string) string {
	if dir := getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return dir
	}
	if runtime.GOOS == "windows" {
		return getenv("LOCALAPPDATA")
	}
	if home := getenv("HOME"); home != "" {
		return filepath.Join(home, ".local", "share")
	}
	return ""
}

// Find returns the launcher with a name or path, which has to start workloads of a kind.
// IPython Parallel's names and class paths of its launchers are accepted; OldName is then
// set. If no executable has the name, it may be an entry point of a Python package.
// NotFoundError: there is no such launcher.
func Find(ctx context.Context, kind sdk.Kind, name string, s Search) (*Executable, error) {
	found, err := findAny(ctx, kind, name, s)
	if err != nil {
		return nil, err
	}
	s.inspect(ctx, found)
	if found.Err != nil {
		return nil, fmt.Errorf("launcher %q: %w", name, found.Err)
	}
	if !found.Info.Offers(kind) {
		return nil, fmt.Errorf("launcher %q (%s) does not start a %s; it starts: %s", name, found.Path, kind, kinds(found.Info))
	}
	return found, nil
}

// Describe returns the launcher with a path, whatever kinds it starts.
func Describe(ctx context.Context, path string, s Search) (*Executable, error) {
	found, err := findPath(path)
	if err != nil {
		return nil, err
	}
	if s.inspect(ctx, found); found.Err != nil {
		return nil, fmt.Errorf("launcher %q: %w", path, found.Err)
	}
	return found, nil
}

// findAny is find that also accepts former names and Python launchers.
func findAny(ctx context.Context, kind sdk.Kind, name string, s Search) (*Executable, error) {
	found, err := find(name, s)
	if err == nil || isPath(name) {
		return found, err
	}
	current, of := currentName(name)
	switch {
	case current == "":
	case of == sdk.Controller && kind != sdk.Controller, of == sdk.Engine && kind == sdk.Controller:
		return nil, fmt.Errorf("launcher %q is the class of a %s, not of a %s; use %q", name, of, kind, current)
	default:
		if found, err = find(current, s); err == nil {
			found.OldName = name
			return found, nil
		}
	}
	found, asked, pythonErr := s.entryPoint(ctx, name)
	switch {
	case pythonErr != nil:
		return nil, pythonErr
	case found != nil:
		return found, nil
	}
	if missing, ok := errors.AsType[*NotFoundError](err); ok {
		missing.Python = asked
	}
	return nil, err
}

// find returns the executable with a name or path.
func find(name string, s Search) (*Executable, error) {
	if isPath(name) {
		return findPath(name)
	}
	want := strings.ToLower(strings.TrimSpace(name))
	if !sdk.ValidName(want) {
		return nil, fmt.Errorf("launcher %q: must be a name (lower-case letters, digits, - and _) or a path", name)
	}
	folders := s.Dirs()
	all, errs := scan(folders)
	for _, found := range all {
		if found.Name == want {
			return found, nil
		}
	}
	names := make([]string, len(all))
	for i, found := range all {
		names[i] = found.Name
	}
	return nil, &NotFoundError{Name: name, Found: names, Dirs: folders, Errs: errs}
}

// isPath reports whether a launcher is given by its path.
func isPath(name string) bool {
	return strings.ContainsRune(name, filepath.Separator) || strings.Contains(name, "/")
}

// findPath returns the launcher with a path. The file may have any name.
func findPath(path string) (*Executable, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("launcher %q: %w", path, err)
	}
	i, err := os.Stat(abs)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %q: %w", ErrNotFound, path, err)
	case !executable(i, abs):
		return nil, fmt.Errorf("launcher %q is not an executable file", path)
	}
	name, ok := launcherName(filepath.Base(abs))
	if !ok {
		name = filepath.Base(abs)
	}
	return &Executable{Name: name, Path: abs, Place: SearchDir{Dir: filepath.Dir(abs), Why: "path"}}, nil
}

// List returns the launchers that can be chosen by name, sorted by name. Each has either a
// description or the error why it can't be used.
func List(ctx context.Context, s Search) ([]Executable, error) {
	all, errs := scan(s.Dirs())
	var group sync.WaitGroup
	for _, found := range all {
		group.Go(func() { s.inspect(ctx, found) })
	}
	group.Wait()
	out := make([]Executable, 0, len(all))
	for _, found := range all {
		out = append(out, *found)
	}
	return out, errors.Join(errs...)
}

// scan returns the launchers in the folders, sorted by name, each with those that it
// shadows. It skips folders that do not exist.
func scan(folders []SearchDir) ([]*Executable, []error) {
	var all []*Executable
	var errs []error
	seen := make(map[string]*Executable)
	for _, folder := range folders {
		entries, err := os.ReadDir(folder.Dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("look for launchers: %w", err))
		}
		for _, e := range entries {
			name, ok := launcherName(e.Name())
			if !ok || name == BridgeName {
				continue
			}
			path := filepath.Join(folder.Dir, e.Name())
			i, err := os.Stat(path) // follows links
			if err != nil || !executable(i, path) {
				continue
			}
			if first := seen[name]; first != nil {
				first.Shadowed = append(first.Shadowed, path)
				continue
			}
			found := &Executable{Name: name, Path: path, Place: folder}
			seen[name] = found
			all = append(all, found)
		}
	}
	slices.SortFunc(all, func(a, b *Executable) int { return strings.Compare(a.Name, b.Name) })
	return all, errs
}

// launcherName returns the launcher's name that is part of the name of an executable.
func launcherName(file string) (string, bool) {
	if runtime.GOOS == "windows" {
		base, ok := strings.CutSuffix(strings.ToLower(file), ".exe")
		if !ok {
			return "", false
		}
		file = base
	}
	name, ok := strings.CutPrefix(file, Prefix)
	return name, ok && sdk.ValidName(name)
}

// kinds returns the kinds that a launcher starts, for a message.
func kinds(i sdk.Info) string {
	words := make([]string, len(i.Kinds))
	for n, k := range i.Kinds {
		words[n] = string(k)
	}
	return strings.Join(words, ", ")
}
