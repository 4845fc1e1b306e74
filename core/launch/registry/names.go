package registry

import (
	"strings"

	"github.com/ipcore/ipcore/sdk"
)

// oldNames are upstream's names of launchers where ours are others, in lower
// case: abbreviations of both package eras.
var oldNames = map[string]string{"mpiexec": "mpi", "windowshpc": "winhpc"}

// classForms are how upstream's class names end, with what the class starts.
var classForms = []struct {
	end  string
	kind sdk.Kind
}{
	{"EngineSetLauncher", sdk.Engine}, {"EngineLauncher", sdk.Engine}, {"ControllerLauncher", sdk.Controller}, {"Launcher", ""},
}

// oldModules are the Python packages whose launchers' class paths are known.
var oldModules = []string{"ipyparallel.", "IPython.parallel."}

// newName answers what an old name of a launcher stands for: a class of upstream,
// with or without its module, or an abbreviation. kind is what the class starts,
// "" if that is not in the name; the new name is "" if the name is not an old one.
// A class path of another package is none.
func currentName(old string) (name string, kind sdk.Kind) {
	for _, module := range oldModules {
		if strings.HasPrefix(old, module) {
			old = old[strings.LastIndexByte(old, '.')+1:]
			break
		}
	}
	if strings.Contains(old, ".") {
		return "", ""
	}
	for _, form := range classForms {
		if base, ok := strings.CutSuffix(old, form.end); ok && base != "" {
			base = strings.ToLower(base)
			if n, ok := oldNames[base]; ok {
				base = n
			}
			return base, form.kind
		}
	}
	return oldNames[strings.ToLower(old)], ""
}

// NewClass returns the current name of a configuration class, or of a launcher used in
// its place, for a former name. It returns any other name unchanged.
func CurrentClass(class string) string {
	if name, ok := oldNames[strings.ToLower(class)]; ok {
		return name
	}
	if rest, ok := strings.CutPrefix(class, "MPIExec"); ok && strings.HasSuffix(rest, "Launcher") {
		return "MPI" + rest
	}
	return class
}
