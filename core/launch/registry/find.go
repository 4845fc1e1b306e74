package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/ipcore/ipcore/internal/nearest"
	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/buildinfo"
	"github.com/ipcore/ipcore/sdk/process"
)

// Prefix begins the name of every launcher's executable.
const Prefix = "ipcore-launcher-"

// ErrNotFound tells that no launcher of a name was found.
var ErrNotFound = errors.New("launcher not found")

// Search says where to look. The zero value looks everywhere but in a profile.
type Search struct {
	ProfileDir string // "" for none
	Python     string // the user's, for launchers behind entry points; "" means as an engine finds it

	// For tests; nil means the process's own.
	Getenv     func(string) string
	Executable func() (string, error)
}

// Place is a folder in which launchers are looked for.
type SearchDir struct {
	Dir string `json:"dir"`
	Why string `json:"why"` // "IPCORE_LAUNCHER_PATH", "profile", ...
}

// Found is an executable that has a launcher's name.
type Executable struct {
	Name     string    `json:"name"`
	Path     string    `json:"path"` // absolute
	Place    SearchDir `json:"place"`
	Info     sdk.Info  `json:"info"` // as the executable describes itself; zero with Err
	Shadowed []string  `json:"shadowed,omitempty"`
	Bridge   string    `json:"bridge,omitempty"` // the executable that serves it, when it is a script that speaks verbs
	OldName  string    `json:"-"`                // by which Find was asked for it, if that is an old one
	Err      error     `json:"-"`                // why it can't be used

	pins map[string][]string // of the profile: the sums that each name may have
}

// Command answers how the plugin is started.
func (f *Executable) Command() []string {
	if f.Bridge != "" {
		return []string{f.Bridge, f.Path}
	}
	return []string{f.Path}
}

// BridgeName is the launcher that serves scripts. It is none by itself.
const BridgeName = "exec"

// look finds out what the executable is, and whether it can be used.
func (s Search) inspect(ctx context.Context, f *Executable) {
	if f.pins, f.Err = s.pins(); f.Err != nil {
		return
	}
	if f.Err = f.Verify(f.Path); f.Err != nil {
		return
	}
	if f.Info, f.Err = describe(ctx, f.Path); f.Err == nil && f.Info.Speaks == sdk.SpeaksScript {
		f.Bridge = s.bridge()
	}
}

// bridge answers the executable that serves scripts, "" if it is not there.
func (s Search) bridge() string {
	for _, place := range s.Dirs() {
		path := filepath.Join(place.Dir, executableName(BridgeName))
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

// check tells whether an executable may be run: nobody else could have put it
// there, and it is what the profile pins.
func (f *Executable) Verify(path string) error {
	if err := checkSafe(path); err != nil {
		return err
	}
	name := f.Name
	if path == f.Bridge {
		name = BridgeName
	}
	return checkPin(path, f.pins[name])
}

// executableName is the file name of a launcher's executable.
func executableName(name string) string {
	if runtime.GOOS == "windows" {
		return Prefix + name + ".exe"
	}
	return Prefix + name
}

// Places answers where a search looks, in order. Folders need not exist.
func (s Search) Dirs() []SearchDir {
	getenv, executable := s.getenv(), s.Executable
	if executable == nil {
		executable = os.Executable
	}
	var places []SearchDir
	add := func(why string, dirs ...string) {
		for _, dir := range dirs {
			abs, err := filepath.Abs(dir)
			if dir == "" || err != nil || slices.ContainsFunc(places, func(p SearchDir) bool { return p.Dir == abs }) {
				continue
			}
			places = append(places, SearchDir{Dir: abs, Why: why})
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
		add("beside ipcore", bin)
	}
	return places
}

// userData is the folder for a user's own data.
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

// Find answers the launcher of a name, or of a path, that starts workloads of a
// kind. Upstream's names and class paths stand for ours; OldName then tells. A name
// that no executable has may be that of a Python package's entry point.
// ErrNotFound lists what was found and everywhere it was looked for.
func Find(ctx context.Context, kind sdk.Kind, name string, s Search) (*Executable, error) {
	f, err := findAny(ctx, kind, name, s)
	if err != nil {
		return nil, err
	}
	s.inspect(ctx, f)
	if f.Err != nil {
		return nil, fmt.Errorf("launcher %q: %w", name, f.Err)
	}
	if !f.Info.Offers(kind) {
		return nil, fmt.Errorf("launcher %q (%s) does not start a %s; it starts: %s", name, f.Path, kind, kinds(f.Info))
	}
	return f, nil
}

// Describe answers the launcher of a path, whatever it starts.
func Describe(ctx context.Context, path string, s Search) (*Executable, error) {
	f, err := findPath(path)
	if err != nil {
		return nil, err
	}
	if s.inspect(ctx, f); f.Err != nil {
		return nil, fmt.Errorf("launcher %q: %w", path, f.Err)
	}
	return f, nil
}

// findAny is find, for old names and Python launchers too.
func findAny(ctx context.Context, kind sdk.Kind, name string, s Search) (*Executable, error) {
	f, err := find(name, s)
	if err == nil || isPath(name) {
		return f, err
	}
	current, of := currentName(name)
	switch {
	case current == "":
	case of == sdk.Controller && kind != sdk.Controller, of == sdk.Engine && kind == sdk.Controller:
		return nil, fmt.Errorf("launcher %q is the class of a %s, not of a %s; say %q", name, of, kind, current)
	default:
		if f, err = find(current, s); err == nil {
			f.OldName = name
			return f, nil
		}
	}
	f, asked, pythonErr := s.entryPoint(ctx, name)
	switch {
	case pythonErr != nil:
		return nil, pythonErr
	case f != nil:
		return f, nil
	}
	if missing, ok := errors.AsType[*NotFoundError](err); ok {
		missing.Python = asked
	}
	return nil, err
}

// find answers where the executable of a name or path is.
func find(name string, s Search) (*Executable, error) {
	if isPath(name) {
		return findPath(name)
	}
	want := strings.ToLower(strings.TrimSpace(name))
	if !sdk.ValidName(want) {
		return nil, fmt.Errorf("launcher %q: not a launcher's name (lower-case letters, digits, - and _) and not a path", name)
	}
	places := s.Dirs()
	all, errs := scan(places)
	for _, f := range all {
		if f.Name == want {
			return f, nil
		}
	}
	names := make([]string, len(all))
	for i, f := range all {
		names[i] = f.Name
	}
	return nil, &NotFoundError{Name: name, Found: names, Dirs: places, Errs: errs}
}

// isPath tells whether a launcher is given by its path.
func isPath(name string) bool {
	return strings.ContainsRune(name, filepath.Separator) || strings.Contains(name, "/")
}

// findPath answers the launcher of a path. Its file may have any name.
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

// List answers every launcher that a name can stand for, sorted by name, each
// described or with what is wrong with it.
func List(ctx context.Context, s Search) ([]Executable, error) {
	all, errs := scan(s.Dirs())
	var group sync.WaitGroup
	for _, f := range all {
		group.Go(func() { s.inspect(ctx, f) })
	}
	group.Wait()
	out := make([]Executable, 0, len(all))
	for _, f := range all {
		out = append(out, *f)
	}
	return out, errors.Join(errs...)
}

// scan answers the launchers in the places, sorted by name, each with those that
// it shadows. Folders that are not there are passed over.
func scan(places []SearchDir) ([]*Executable, []error) {
	var all []*Executable
	var errs []error
	seen := make(map[string]*Executable)
	for _, place := range places {
		entries, err := os.ReadDir(place.Dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("look for launchers: %w", err))
		}
		for _, e := range entries {
			name, ok := launcherName(e.Name())
			if !ok || name == BridgeName {
				continue
			}
			path := filepath.Join(place.Dir, e.Name())
			i, err := os.Stat(path) // follows links
			if err != nil || !executable(i, path) {
				continue
			}
			if first := seen[name]; first != nil {
				first.Shadowed = append(first.Shadowed, path)
				continue
			}
			f := &Executable{Name: name, Path: path, Place: place}
			seen[name] = f
			all = append(all, f)
		}
	}
	slices.SortFunc(all, func(a, b *Executable) int { return strings.Compare(a.Name, b.Name) })
	return all, errs
}

// launcherName answers the name in the name of an executable.
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

// NotFoundError means that no launcher has a name. It wraps ErrNotFound.
type NotFoundError struct {
	Name   string
	Found  []string    // names of the launchers that were found
	Dirs   []SearchDir // searched folders, in order
	Errs   []error     // folders that could not be read
	Python string      // which Python was asked for entry points, "" if none was
}

func (e *NotFoundError) Error() string {
	if len(e.Found) == 0 {
		return fmt.Sprintf("no launcher is called %q; no launcher was found", e.Name)
	}
	return fmt.Sprintf("no launcher is called %q; found: %s", e.Name, strings.Join(e.Found, ", "))
}

// Hint returns what to do next, in one or more lines.
func (e *NotFoundError) Hint() string {
	var lines []string
	if near := nearest.Match(strings.ToLower(e.Name), e.Found); near != "" {
		lines = append(lines, fmt.Sprintf("did you mean %s?", near))
	}
	if len(e.Found) == 0 {
		lines = append(lines, installHint(buildinfo.Read().Version))
	}
	dirs := make([]string, len(e.Dirs))
	for i, d := range e.Dirs {
		dirs[i] = fmt.Sprintf("%s (%s)", d.Dir, d.Why)
	}
	lines = append(lines, fmt.Sprintf("looked for %s%s in: %s", Prefix, strings.ToLower(e.Name), strings.Join(dirs, ", ")),
		"put it into one of these folders, or give its path instead of its name")
	if e.Python != "" {
		lines = append(lines, e.Python)
	}
	for _, err := range e.Errs {
		lines = append(lines, err.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns ErrNotFound.
func (e *NotFoundError) Unwrap() error { return ErrNotFound }

// installHint says how to get the launchers of an ipcore of this version, for
// somebody who has ipcore alone.
func installHint(version string) string {
	if !released.MatchString(version) {
		version = "latest"
	} else {
		version = "v" + version
	}
	return "launchers are separate executables. Archives and packages contain them; with Go: " +
		"go install github.com/ipcore/ipcore/plugins/...@" + version + ", next to an ipcore of go install"
}

// released matches the version of a release.
var released = regexp.MustCompile(`^\d+\.\d+\.\d+$`)

func kinds(i sdk.Info) string {
	words := make([]string, len(i.Kinds))
	for n, k := range i.Kinds {
		words[n] = string(k)
	}
	return strings.Join(words, ", ")
}
