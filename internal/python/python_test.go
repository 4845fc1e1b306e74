//go:build unix

package python

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	dir := t.TempDir()
	program := func(path ...string) string {
		t.Helper()
		file := filepath.Join(append([]string{dir}, path...)...)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		return file
	}
	explicit, variable := program("explicit"), program("variable")
	venv, conda, path := program("venv", "bin", "python"), program("conda", "bin", "python"), program("path", "python3")
	t.Setenv("PATH", filepath.Dir(path))
	env := map[string]string{
		"IPCORE_PYTHON": variable, "VIRTUAL_ENV": filepath.Join(dir, "venv"), "CONDA_PREFIX": filepath.Join(dir, "conda"),
	}
	getenv := func(name string) string { return env[name] }
	name := explicit
	for _, want := range []string{explicit, variable, venv, conda, path} {
		if got, err := Find(name, getenv); err != nil || got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
		switch want {
		case explicit:
			name = ""
		case variable:
			delete(env, "IPCORE_PYTHON")
		case venv:
			delete(env, "VIRTUAL_ENV")
		case conda:
			delete(env, "CONDA_PREFIX")
		}
	}
	for where, set := range map[string]func(){
		"--python":      func() { name = filepath.Join(dir, "missing") },
		"IPCORE_PYTHON": func() { env["IPCORE_PYTHON"] = "missing" },
		"VIRTUAL_ENV":   func() { env["VIRTUAL_ENV"] = dir },
		"PATH":          func() { t.Setenv("PATH", dir) },
	} {
		name = ""
		clear(env)
		set()
		if _, err := Find(name, getenv); err == nil || !strings.Contains(err.Error(), where) {
			t.Errorf("%s: %v", where, err)
		}
	}
}
