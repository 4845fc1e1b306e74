package htcondor

import (
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/batch"
	"github.com/ipcore/ipcore/sdk/process"
)

// inherited are variables of this process that a job gets as well: HTCondor gives
// it none of them, and hardly a program works without a PATH.
var inherited = []string{"PATH", "HOME", "LANG", "LD_LIBRARY_PATH"}

// compose writes a submit description.
func compose(j *batch.Job) (string, error) {
	directives, err := j.Directives()
	if err != nil {
		return "", err
	}
	command, err := commandOf(j)
	if err != nil {
		return "", err
	}
	environment, err := environmentOf(j)
	if err != nil {
		return "", err
	}
	output := j.Output
	if j.Layout == batch.LayoutArray {
		output = j.ElementOutput("$(Process)")
	}
	universe := j.Settings.Text("universe")
	if universe == "" {
		universe = "vanilla"
	}
	lines := []string{
		"universe = " + universe,
		"executable = " + command[0],
		"transfer_executable = False",
		"arguments = " + quoteList(command[1:]),
		"environment = " + environment,
		"initialdir = " + j.WorkDir,
		"output = " + output,
		"error = " + output,
	}
	if r := j.Settings.Text("requirements"); r != "" {
		lines = append(lines, "requirements = "+r)
	}
	queue := "queue"
	for _, d := range directives {
		switch {
		case strings.HasPrefix(d, "queue "):
			queue = d
		case !strings.HasPrefix(d, "output ="):
			lines = append(lines, d)
		}
	}
	lines = append(lines, queue)
	for _, l := range lines {
		if strings.Contains(l, "$$(DOLLAR)") {
			return "", fmt.Errorf("%w: HTCondor would expand $$( in %q", sdk.ErrBadOption, l)
		}
		if strings.ContainsAny(l, "\n\r\x00") {
			return "", fmt.Errorf("%w: a submit description has one setting a line, and this is more: %q", sdk.ErrBadOption, l)
		}
	}
	return strings.Join(lines, "\n") + "\n", nil
}

// commandOf answers what the job runs: a program by its path, since HTCondor does
// not search PATH; with a prologue a shell that runs it behind that.
func commandOf(j *batch.Job) ([]string, error) {
	command := slices.Clone(j.Request.Command)
	if !filepath.IsAbs(command[0]) {
		path, err := exec.LookPath(command[0])
		if err == nil {
			path, err = filepath.Abs(path)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: the program %s: %w", sdk.ErrBadOption, command[0], err)
		}
		command[0] = path
	}
	if len(j.Settings.Prologue) == 0 {
		return command, nil
	}
	script := strings.Join(j.Settings.Prologue, "; ") + `; exec "$@"`
	return append([]string{"/bin/sh", "-c", script, "sh"}, command...), nil
}

// environmentOf writes the job's environment in the new syntax.
func environmentOf(j *batch.Job) (string, error) {
	env := map[string]string{}
	for _, name := range inherited {
		if value := process.Getenv(name); value != "" {
			env[name] = value
		}
	}
	maps.Copy(env, j.Env)
	var words []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if strings.ContainsAny(env[name], "\n\r") {
			return "", fmt.Errorf("%w: environment variable %s has more than one line, which a submit description can't hold", sdk.ErrBadOption, name)
		}
		words = append(words, name+"="+env[name])
	}
	return quoteList(words), nil
}

// macro is what HTCondor would expand: $(name), $ENV(name) and the like.
var macro = regexp.MustCompile(`\$(\w*\()`)

// quoteList writes words as the value of arguments or environment in the new
// syntax: in double quotes, each word in single quotes where it has blanks.
func quoteList(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		w = macro.ReplaceAllString(strings.ReplaceAll(w, `"`, `""`), "$$(DOLLAR)$1")
		if w == "" || strings.ContainsAny(w, " \t'") {
			w = "'" + strings.ReplaceAll(w, "'", "''") + "'"
		}
		quoted[i] = w
	}
	return `"` + strings.Join(quoted, " ") + `"`
}
