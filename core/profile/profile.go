// Package profile finds and makes IPython profile directories.
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

// Options name a profile. The first that is set wins: Dir, IPP_PROFILE_DIR,
// Name under IPythonDir (IPYTHONDIR, else ~/.ipython), "default".
type Options struct {
	Name       string // --profile
	Dir        string // --profile-dir
	IPythonDir string // --ipython-dir
}

// Profile is a resolved profile directory.
type Profile struct {
	Dir string // absolute
}

// Resolve finds the directory without touching it.
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
			return Profile{}, fmt.Errorf("profile %q: a name has no path separators; use --profile-dir for a directory", name)
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

// ipythonDir answers the directory that holds the profiles.
func ipythonDir(dir string) (string, error) {
	if dir == "" {
		dir = os.Getenv("IPYTHONDIR")
	}
	if dir == "" {
		dir = filepath.Join("~", ".ipython")
	}
	return absolute(dir)
}

// absolute makes a path absolute; a leading ~ is the home directory.
func absolute(path string) (string, error) {
	if path == "~" || strings.HasPrefix(path, "~/") || strings.HasPrefix(path, "~"+string(filepath.Separator)) {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("profile directory: %w; set IPYTHONDIR or --profile-dir", err)
		}
		path = filepath.Join(home, path[1:])
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("profile directory: %w", err)
	}
	return path, nil
}

// Create makes the directory and its security (0700), log and pid (0700)
// folders where they are missing. Looser permissions of security and pid are
// tightened.
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
			return fmt.Errorf("create profile: %s holds keys and is open to others: %w", folder.path, err)
		}
	}
	return nil
}

// Exists tells whether the directory is there.
func (p Profile) Exists() bool {
	info, err := os.Stat(p.Dir)
	return err == nil && info.IsDir()
}

// Name is the profile's name ("default"), or "" for a directory of another form.
func (p Profile) Name() string {
	name, ok := strings.CutPrefix(filepath.Base(p.Dir), dirPrefix)
	if !ok {
		return ""
	}
	return name
}

// SecurityDir is the folder of connection and cluster files.
func (p Profile) SecurityDir() string { return filepath.Join(p.Dir, "security") }

// LogDir is the folder of log files and the engine table.
func (p Profile) LogDir() string { return filepath.Join(p.Dir, "log") }

// List answers the profiles found under an IPython directory ("" = default),
// sorted by name. A directory that does not exist has none.
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
