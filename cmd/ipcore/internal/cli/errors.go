package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ipcore/ipcore/core/launch/cluster"
	"github.com/ipcore/ipcore/core/launch/settings"
	"github.com/ipcore/ipcore/internal/nearest"
)

// Exit codes. 10 and 11 are those of IPython Parallel's ipcluster, 124 is that of timeout(1).
const (
	ExitFailure        = 1
	ExitUsage          = 2
	ExitAlreadyRunning = 10
	ExitNoCluster      = 11
	ExitTimeout        = 124
	ExitInterrupted    = 130
)

// usageError is a command line that is not valid: exit code 2.
type usageError struct{ text, hint string }

func (e *usageError) Error() string { return e.text }
func (e *usageError) Hint() string  { return e.hint }

// UsageError returns the error of a command line that is not valid. hint is the
// next step, or "".
func UsageError(text, hint string) error { return &usageError{text, hint} }

// exitError ends the program with a code. A nil err means that everything has been
// reported already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}
func (e *exitError) Unwrap() error { return e.err }

// WithExitCode returns err with the exit code that the program ends with. A nil err
// ends it without a message.
func WithExitCode(code int, err error) error { return &exitError{code, err} }

// hintedError is an error with the next step.
type hintedError struct {
	err  error
	hint string
}

func (e *hintedError) Error() string { return e.err.Error() }
func (e *hintedError) Unwrap() error { return e.err }
func (e *hintedError) Hint() string  { return e.hint }

// WithHint returns err with the next step for the user, or several, one on each line.
func WithHint(err error, hint string) error { return &hintedError{err, hint} }

// Hint returns the next step that an error has, or "".
func Hint(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// ExitCode returns the exit code that an error stands for.
func ExitCode(err error) int {
	var usage *usageError
	var exit *exitError
	var running *cluster.RunningError
	var missing *cluster.NotFoundError
	var alone *cluster.NoControllerError
	var setting *settings.SettingError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage), errors.As(err, &setting):
		return ExitUsage
	case errors.As(err, &exit):
		return exit.code
	case errors.As(err, &running):
		return ExitAlreadyRunning
	case errors.As(err, &missing), errors.As(err, &alone):
		return ExitNoCluster
	}
	return ExitFailure
}

// report prints an error as an "error:" line, and a "hint:" line for each line of its
// hint. It returns the exit code.
func (s *Streams) report(err error) int {
	err = Explain(err)
	code := ExitCode(err)
	var silent *exitError
	if err == nil || errors.As(err, &silent) && silent.err == nil {
		return code
	}
	s.Errf("error: %s\n", strings.TrimRight(err.Error(), "\n"))
	for hint := range strings.Lines(Hint(err)) {
		s.Errf("hint: %s\n", strings.TrimRight(hint, "\n"))
	}
	return code
}

// flagError turns an error of pflag into ours, with a suggestion for a mistyped
// option.
func flagError(c *cobra.Command, err error) error {
	u := &usageError{text: err.Error(), hint: helpHint(c)}
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		u.text = fmt.Sprintf("--%s: %q is not valid: %v", invalid.GetFlag().Name, invalid.GetValue(), plainCause(invalid))
	}
	if missing, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		u.text = fmt.Sprintf("--%s needs a value", missing.GetFlag().Name)
	}
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		u.text = fmt.Sprintf("unknown option --%s", unknown.GetSpecifiedName())
		if short := unknown.GetSpecifiedShortnames(); short != "" {
			u.text = fmt.Sprintf("unknown option -%s", short)
		}
		var names []string
		c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if near := nearest.Match(unknown.GetSpecifiedName(), names); near != "" {
			u.hint = fmt.Sprintf("did you mean --%s?", near)
		}
	}
	return u
}

// helpHint says where a command explains itself.
func helpHint(c *cobra.Command) string { return "run: ipcore " + c.Name() + " --help" }

// plainCause returns why a value was refused, without the names of Go's functions.
func plainCause(err error) string {
	if number, ok := errors.AsType[*strconv.NumError](err); ok {
		if errors.Is(number.Err, strconv.ErrRange) {
			return "out of range"
		}
		return "it must be a number, or true or false for a switch"
	}
	if inner := errors.Unwrap(err); inner != nil {
		return inner.Error()
	}
	return err.Error()
}
