package registry

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/ipcore/ipcore/internal/nearest"
	"github.com/ipcore/ipcore/sdk/buildinfo"
)

// ErrNotFound means that there is no launcher with a name.
var ErrNotFound = errors.New("launcher not found")

// NotFoundError means that there is no launcher with a name. It wraps ErrNotFound.
type NotFoundError struct {
	Name   string
	Found  []string    // names of the launchers that were found
	Dirs   []SearchDir // searched folders, in order
	Errs   []error     // folders that could not be read
	Python string      // what looking for a Python entry point yielded, or ""
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

// installHint returns how to get the launchers of this version of ipcore, for users who
// have installed only ipcore.
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
