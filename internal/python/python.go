// Package python finds the Python interpreter that runs the user's code.
package python

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
)

// Find returns the path of the Python that runs the user's code. The first that is
// set wins: explicit, IPCORE_PYTHON, the active environment (VIRTUAL_ENV, then
// CONDA_PREFIX), python3 on PATH. getenv reads the environment. The error says
// where the name came from.
func Find(explicit string, getenv func(string) string) (string, error) {
	for _, c := range []struct{ from, name string }{{"--python", explicit}, {"IPCORE_PYTHON", getenv("IPCORE_PYTHON")}} {
		if c.name == "" {
			continue
		}
		path, err := exec.LookPath(c.name)
		if err != nil {
			return "", fmt.Errorf("%s: no Python at %q: %w", c.from, c.name, err)
		}
		return path, nil
	}
	for _, name := range []string{"VIRTUAL_ENV", "CONDA_PREFIX"} {
		prefix := getenv(name)
		if prefix == "" {
			continue
		}
		program := filepath.Join(prefix, "bin", "python")
		if runtime.GOOS == "windows" {
			program = filepath.Join(prefix, "python.exe")
			if name == "VIRTUAL_ENV" {
				program = filepath.Join(prefix, "Scripts", "python.exe")
			}
		}
		path, err := exec.LookPath(program)
		if err != nil {
			return "", fmt.Errorf("%s: no Python in %q: %w; deactivate it or name one with --python", name, prefix, err)
		}
		return path, nil
	}
	path, err := exec.LookPath("python3")
	if err != nil {
		return "", fmt.Errorf("no python3 on PATH: %w; name one with --python or IPCORE_PYTHON", err)
	}
	return path, nil
}
