// Package profile finds and creates IPython profile directories.
package profile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// dirPrefix begins the name of every profile directory.
const dirPrefix = "profile_"

// Options name a profile. The first one that is set wins: Dir, then the environment
// variable IPP_PROFILE_DIR, then Name in IPythonDir, then the name "default" there.
type Options struct {
	Name       string
	Dir        string
	IPythonDir string // "" means IPYTHONDIR, or else ~/.ipython
}

// NameError means that the name of a profile is not valid.
type NameError struct{ Name string }

func (e *NameError) Error() string {
	return fmt.Sprintf("profile %q: a name must not contain path separators", e.Name)
}

// HomeError means that the profile directory can't be found, because the home directory of
// the user is not known.
type HomeError struct{ Err error }

func (e *HomeError) Error() string { return fmt.Sprintf("profile directory: %v", e.Err) }

// Unwrap returns the cause.
func (e *HomeError) Unwrap() error { return e.Err }

// Profile is a resolved profile directory.
type Profile struct {
	Dir string // absolute
}

// Resolve returns the profile that the options name. It creates nothing.
func Resolve(o Options) (Profile, error) {
	dir := o.Dir
	if dir == "" {
		dir = os.Getenv("IPP_PROFILE_DIR")
	}
	if dir == "" {
		name := o.Name
		if name == "" {
			name = "default"
		}
		if name == "." || name == ".." || strings.ContainsAny(name, `/\`) {
			return Profile{}, &NameError{name}
		}
		base, err := ipythonDir(o.IPythonDir)
		if err != nil {
			return Profile{}, err
		}
		dir = filepath.Join(base, dirPrefix+name)
	}
	dir, err := absolute(dir)
	if err != nil {
		return Profile{}, err
	}
	return Profile{Dir: dir}, nil
}

// ipythonDir returns the directory that holds the profiles.
func ipythonDir(dir string) (string, error) {
	if dir == "" {
		dir = os.Getenv("IPYTHONDIR")
	}
	if dir == "" {
		dir = filepath.Join("~", ".ipython")
	}
	return absolute(dir)
}

// absolute returns the absolute form of a path. A leading ~ is the home directory.
func absolute(path string) (string, error) {
	if path == "~" || strings.HasPrefix(path, "~/") || strings.HasPrefix(path, "~"+string(filepath.Separator)) {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", &HomeError{err}
		}
		path = filepath.Join(home, path[1:])
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("profile directory: %w", err)
	}
	return path, nil
}

// Create creates the directory and its folders security (mode 0700), log and pid
// (mode 0700) if they do not exist. If security or pid exist with access for
// others, Create sets their mode to 0700.
func (p Profile) Create() error {
	for _, folder := range []struct {
		path string
		mode os.FileMode
	}{
		{p.Dir, 0o755},
		{p.SecurityDir(), 0o700},
		{p.LogDir(), 0o755},
		{filepath.Join(p.Dir, "pid"), 0o700},
	} {
		if err := os.MkdirAll(folder.path, folder.mode); err != nil {
			return fmt.Errorf("create profile: %w", err)
		}
		if folder.mode != 0o700 {
			continue
		}
		info, err := os.Stat(folder.path)
		if err != nil {
			return fmt.Errorf("create profile: %w", err)
		}
		if info.Mode().Perm()&0o077 == 0 {
			continue
		}
		if err := os.Chmod(folder.path, folder.mode); err != nil {
			return fmt.Errorf("create profile: %s contains keys and other users can access it: %w", folder.path, err)
		}
	}
	return nil
}

// Exists reports whether the directory exists.
func (p Profile) Exists() bool {
	info, err := os.Stat(p.Dir)
	return err == nil && info.IsDir()
}

// Name returns the profile's name, such as "default", or "" if the directory is not
// named profile_<name>.
func (p Profile) Name() string {
	name, ok := strings.CutPrefix(filepath.Base(p.Dir), dirPrefix)
	if !ok {
		return ""
	}
	return name
}

// SecurityDir returns the folder of connection and cluster files.
func (p Profile) SecurityDir() string { return filepath.Join(p.Dir, "security") }

// LogDir returns the folder of log files and the engine table.
func (p Profile) LogDir() string { return filepath.Join(p.Dir, "log") }

// List returns the profiles in an IPython directory ("": the default one), sorted by
// name. A directory that does not exist has no profiles.
func List(dir string) ([]Profile, error) {
	base, err := ipythonDir(dir)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(base)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list profiles: %w", err)
	}
	var found []Profile
	for _, entry := range entries {
		p := Profile{Dir: filepath.Join(base, entry.Name())}
		if p.Name() != "" && p.Exists() {
			found = append(found, p)
		}
	}
	return found, nil
}
