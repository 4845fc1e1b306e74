package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ipcore/ipcore/core/launch/settings"

	"github.com/spf13/pflag"

	"github.com/ipcore/ipcore/core/launch/cluster"
	"github.com/ipcore/ipcore/core/launch/registry"
)

// Exit codes. 10 and 11 are those of upstream's ipcluster, 124 is that of timeout(1).
const (
	exitFailure        = 1
	exitUsage          = 2
	exitAlreadyRunning = 10
	exitNoCluster      = 11
	exitTimeout        = 124
	exitInterrupted    = 130
)

// usageError is a command line that makes no sense: exit code 2.
type usageError struct {
	command string
	text    string
	hint    string
}

func (e *usageError) Error() string { return e.text }
func (e *usageError) Hint() string  { return e.hint }

// exitError ends the program with a code; a nil err means all has been said.
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

// hintedError is an error with the next step beside it.
type hintedError struct {
	err  error
	hint string
}

func (e *hintedError) Error() string { return e.err.Error() }
func (e *hintedError) Unwrap() error { return e.err }
func (e *hintedError) Hint() string  { return e.hint }

// hinter is an error that knows the next step.
type hinter interface{ Hint() string }

// exitCode answers the exit code that an error stands for.
func exitCode(err error) int {
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
		return exitUsage
	case errors.As(err, &exit):
		return exit.code
	case errors.As(err, &running):
		return exitAlreadyRunning
	case errors.As(err, &missing), errors.As(err, &alone):
		return exitNoCluster
	}
	return exitFailure
}

// report prints an error as an "error:" and perhaps a "hint:" line, and answers
// the exit code.
func (a *app) report(err error) int {
	err = explain(err)
	code := exitCode(err)
	var silent *exitError
	if err == nil || errors.As(err, &silent) && silent.err == nil {
		return code
	}
	a.errf("error: %s\n", strings.TrimRight(err.Error(), "\n"))
	var h hinter
	if errors.As(err, &h) && h.Hint() != "" {
		for line := range strings.Lines(h.Hint()) {
			a.errf("hint: %s\n", strings.TrimSuffix(line, "\n"))
		}
	}
	return code
}

// flagError turns pflag's errors into ours, with a suggestion for a slip.
func flagError(c *command, err error) error {
	u := &usageError{command: c.name, text: err.Error(), hint: "run: ipcore " + c.name + " --help"}
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
		c.flags.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if near := registry.Nearest(unknown.GetSpecifiedName(), names); near != "" {
			u.hint = fmt.Sprintf("did you mean --%s?", near)
		}
	}
	return u
}

// plainCause says why a value was refused, without the names of Go's functions.
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
