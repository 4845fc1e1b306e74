package htcondor

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/batch"
)

// compose writes a submit description, which runs the job's shell script.
func compose(j *batch.Job) (string, error) {
	directives, err := j.Directives()
	if err != nil {
		return "", err
	}
	output := literal(j.Output)
	if j.Layout == batch.LayoutArray {
		const index = "\x00" // in no path
		output = strings.ReplaceAll(literal(j.ElementOutput(index)), index, "$(Process)")
	}
	universe := j.Settings.StringOption("universe")
	if universe == "" {
		universe = "vanilla"
	}
	lines := []string{
		"universe = " + universe,
		"executable = " + literal(j.ShellPath()),
		"transfer_executable = False",
		"initialdir = " + literal(j.WorkDir),
		"output = " + output,
		"error = " + output,
	}
	if r := j.Settings.StringOption("requirements"); r != "" {
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

// macro is what HTCondor would expand: $(name), $ENV(name) and the like.
var macro = regexp.MustCompile(`\$(\w*\()`)

// literal writes a path that HTCondor leaves as it is.
func literal(path string) string { return macro.ReplaceAllString(path, "$$(DOLLAR)$1") }
