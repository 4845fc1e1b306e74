package cli

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// testApp returns a program with commands that only print their command line.
func testApp(out, err io.Writer, names ...string) *App {
	var constructors []func(*App) *Command
	for _, name := range names {
		constructors = append(constructors, func(a *App) *Command {
			c := NewCommand(&cobra.Command{Use: name, Short: "do " + name, Long: "Do " + name + ".", Example: "ipcore " + name})
			n := c.Flags().Int("number", 0, "a `NUMBER`")
			c.RunE = func(_ *cobra.Command, args []string) error {
				a.Outf("%s %d %q\n", name, *n, args)
				return nil
			}
			return c
		})
	}
	return NewApp(&Streams{In: strings.NewReader(""), Out: out, Err: err}, constructors...)
}

func TestCommandLines(t *testing.T) {
	for line, want := range map[string]string{
		"":                            "start 0 []",
		"-number 3":                   "start 3 []",
		"stop a --number=4 -- -x":     `stop 4 ["a" "-x"]`,
		"help":                        "ipcore runs Python code",
		"--help":                      "ipcore runs Python code",
		"-h":                          "ipcore runs Python code",
		"--help-all":                  "ipcore runs Python code",
		"help stop":                   "Do stop.",
		"-h stop":                     "Do stop.",
		"stop --help":                 "Do stop.",
		"stop -h":                     "Do stop.",
		"--number=1 --help-all":       "Do start.",
		"__completeNoDesc st":         "start\nstatus\nstop\n:4\n",
		"__completeNoDesc --num":      "--number\n:4\n",
		"__completeNoDesc help sto":   "stop\n:4\n",
		"__completeNoDesc stop -numb": ":4\n",
	} {
		var out, errors strings.Builder
		code := testApp(&out, &errors, "start", "stop", "status").Run(t.Context(), strings.Fields(line))
		if code != 0 || !strings.HasPrefix(out.String(), want) {
			t.Errorf("%q: exit code %d\n%s%s", line, code, out.String(), errors.String())
		}
	}
}

func TestMistypedCommands(t *testing.T) {
	for name, want := range map[string]string{
		"srart": "start", "stat": "start", "lsit": "list", "launch": "launchers", "controler": "controller", "xyzzy": "",
	} {
		var errors strings.Builder
		code := testApp(io.Discard, &errors, "start", "stop", "status", "list", "launchers", "controller").Run(t.Context(), []string{name})
		hint := fmt.Sprintf("did you mean %q?", want)
		if want == "" {
			hint = "commands: start, stop, status, list, launchers, controller"
		}
		if text := fmt.Sprintf("error: unknown command %q\nhint: %s\n", name, hint); code != ExitUsage || errors.String() != text {
			t.Errorf("%q: exit code %d\n%s", name, code, errors.String())
		}
	}
}

func TestMistypedOptions(t *testing.T) {
	for option, want := range map[string]string{
		"--nubmer=1":   "error: unknown option --nubmer\nhint: did you mean --number?\n",
		"--xyzzy":      "error: unknown option --xyzzy\nhint: run: ipcore start --help\n",
		"-x":           "error: unknown option -x\nhint: run: ipcore start --help\n",
		"--A.b=c":      "error: unknown option --A.b\nhint: run: ipcore start --help\n",
		"--number":     "error: --number needs a value\nhint: run: ipcore start --help\n",
		"--number=one": "error: --number: \"one\" is not valid: it must be a number, or true or false for a switch\nhint: run: ipcore start --help\n",
	} {
		var errors strings.Builder
		code := testApp(io.Discard, &errors, "start").Run(t.Context(), []string{option})
		if code != ExitUsage || errors.String() != want {
			t.Errorf("%q: exit code %d\n%s", option, code, errors.String())
		}
	}
}
