// Package testbuild builds programs of this repository for tests that start them.
package testbuild

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
)

// Suffix returns how the names of executables end on this system.
func Suffix() string {
	if runtime.GOOS == "windows" {
		return ".exe"
	}
	return ""
}

// Programs builds packages into files below dir. The keys of programs are the files'
// names, without Suffix, and its values are import paths, which may be relative and whose
// last elements differ.
//
// One call of the go command builds all, so that they are linked at the same time, with
// the flags of `make build`, so that what it has compiled is not compiled again: tests
// with the race detector run with CGO_ENABLED=1. Nobody debugs these files, and without
// the tables for that they are linked faster.
func Programs(dir string, programs map[string]string) error {
	built, err := os.MkdirTemp(dir, "build-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(built) }()
	args := []string{"build", "-trimpath", "-ldflags=-s -w", "-o", built + string(filepath.Separator)}
	for _, pkg := range programs {
		args = append(args, pkg)
	}
	build := exec.Command("go", args...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	for name, pkg := range programs {
		file := filepath.Join(dir, filepath.FromSlash(name)+Suffix())
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(built, path.Base(pkg)+Suffix()), file); err != nil {
			return err
		}
	}
	return nil
}
