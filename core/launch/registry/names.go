package registry

import (
	"strings"

	"github.com/ipcore/ipcore/sdk"
)

// oldNames maps IPython Parallel's names of launchers, in lower case, to ipcore's where
// they differ. They are the abbreviations of the package before and after version 7.
var oldNames = map[string]string{"mpiexec": "mpi", "windowshpc": "winhpc"}

// classForms are the suffixes of IPython Parallel's class names, with the kind that such a
// class starts.
var classForms = []struct {
	end  string
	kind sdk.Kind
}{
	{"EngineSetLauncher", sdk.Engine}, {"EngineLauncher", sdk.Engine}, {"ControllerLauncher", sdk.Controller}, {"Launcher", ""},
}

// oldModules are the Python packages whose launchers' class paths are known.
var oldModules = []string{"ipyparallel.", "IPython.parallel."}

// currentName returns the launcher's name that a former name stands for: a class of
// IPython Parallel, with or without its module, or an abbreviation. kind is what the class
// starts, or "" if the name does not say it. name is "" if old is not a former name; the
// class path of another package is not one.
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

// CurrentClass returns the current name of a configuration class, or of a launcher used in
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
