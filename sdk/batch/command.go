package batch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

const (
	maxStdout = 64 << 20 // bytes; enough for a query of a hundred thousand jobs
	maxStderr = 64 << 10
	reapWait  = 2 * time.Second // how long children of a command that has ended may keep its pipes open
)

// command is one run of a command of the system.
type command struct {
	words  []string
	option string            // the option that sets the command: "submit_command"
	dir    string            // "" is the current folder
	stdin  string            // the text of its standard input
	env    map[string]string // added to this process's environment; nil: the C locale is added
	limit  time.Duration
}

// commandError is the error of a command that did not succeed.
type commandError struct {
	words          []string
	stdout, stderr string
	code           int // exit code; -1: the command did not exit by itself
	err            error
	down           bool // the system could not be reached
	gone           bool // the system does not know the job
	ended          bool // the job has ended
}

func (f *commandError) Error() string {
	output := firstLines(strings.TrimSpace(f.stderr), 4)
	if output == "" {
		output = firstLines(strings.TrimSpace(f.stdout), 4)
	}
	switch {
	case f.code < 0 && output == "":
		return fmt.Sprintf("%s: %v", f.words[0], f.err)
	case f.code < 0:
		return fmt.Sprintf("%s: %v; its output was: %s", f.words[0], f.err, output)
	case output == "":
		return fmt.Sprintf("%s exited with code %d and printed nothing", f.words[0], f.code)
	}
	return fmt.Sprintf("%s exited with code %d: %s", f.words[0], f.code, output)
}

func (f *commandError) Unwrap() error { return f.err }

// run runs a command and returns its output. The error is a *commandError, or wraps
// sdk.ErrBadOption when the command does not exist or can't be run.
func (s *System) run(ctx context.Context, c command) (stdout, stderr string, err error) {
	limited, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	cmd := exec.CommandContext(limited, c.words[0], c.words[1:]...)
	ownGroup(cmd)
	cmd.WaitDelay = reapWait
	cmd.Dir = c.dir
	if c.env == nil {
		cmd.Env = process.Environ(map[string]string{"LC_ALL": "C", "LANGUAGE": "C"})
	} else {
		cmd.Env = submitEnviron(c.env)
	}
	if c.stdin != "" {
		cmd.Stdin = strings.NewReader(c.stdin)
	}
	out, errOut := &cappedBuffer{max: maxStdout}, &cappedBuffer{max: maxStderr}
	cmd.Stdout, cmd.Stderr = out, errOut
	err = cmd.Run()
	stdout, stderr = out.String(), errOut.String()
	if err == nil && out.cut {
		err = fmt.Errorf("the output is longer than %d MiB", maxStdout>>20)
	}
	if err == nil {
		return stdout, stderr, nil
	}
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return "", "", s.noCommand(c, err)
	}
	f := &commandError{words: c.words, stdout: stdout, stderr: stderr, code: -1, err: err}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		f.err = ctx.Err()
	case limited.Err() != nil:
		f.err, f.down = fmt.Errorf("no answer within %v", c.limit), true
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		f.code = exit.ExitCode()
		output := stderr + "\n" + stdout
		f.gone = matches(s.Gone, output) || s.GoneCode != 0 && f.code == s.GoneCode
		f.ended = matches(s.Ended, output)
		f.down = matches(s.Down, output) && !f.gone && !f.ended
	}
	return stdout, stderr, f
}

// noCommand returns the error for a command that can't be run.
func (s *System) noCommand(c command, err error) error {
	reason := "was not found"
	if errors.Is(err, fs.ErrPermission) {
		reason = "can't be run"
	} else if c.dir != "" && !errors.Is(err, exec.ErrNotFound) {
		reason = fmt.Sprintf("can't be run in %s (%v)", c.dir, err)
	}
	return fmt.Errorf("%w: the command %s %s; is %s installed on this machine? --%sLauncher.%s=... sets another command",
		sdk.ErrBadOption, c.words[0], reason, s.Package, s.Class, c.option)
}

// submitEnviron returns the environment of the submit command, which the job may
// inherit: this process's environment and extra, without the cluster's secrets, which
// the system would show to everybody.
func submitEnviron(extra map[string]string) []string {
	var env []string
	for _, kv := range process.Environ(extra) {
		if name, _, _ := strings.Cut(kv, "="); !secret(name) {
			env = append(env, kv)
		}
	}
	if process.Getenv("LC_ALL") == "" { // the job keeps its locale, only messages are English
		env = append(env, "LC_MESSAGES=C")
	}
	return env
}

// secret reports whether a variable contains a key of the cluster.
func secret(name string) bool {
	switch name {
	case "IPP_CONNECTION_INFO", "IPP_SESSION_KEY", "IPP_CURVE_SECRETKEY":
		return true
	}
	return false
}

// cappedBuffer keeps the first max bytes of what is written to it.
type cappedBuffer struct {
	buf bytes.Buffer
	max int
	cut bool
}

func (b *cappedBuffer) Write(p []byte) (int, error) {
	free := b.max - b.buf.Len()
	if len(p) > free {
		b.cut = true
		b.buf.Write(p[:free])
	} else {
		b.buf.Write(p)
	}
	return len(p), nil
}

func (b *cappedBuffer) String() string { return b.buf.String() }

// firstLines returns the first n lines, joined to one.
func firstLines(s string, n int) string {
	lines := strings.Split(s, "\n")
	if len(lines) > n {
		lines = append(lines[:n], "...")
	}
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	text := strings.Join(lines, " | ")
	if len(text) > 1000 {
		text = text[:1000] + "..."
	}
	return strings.ToValidUTF8(text, "?")
}

// matches reports whether e matches a part of text; nil matches nothing.
func matches(e *regexp.Regexp, text string) bool { return e != nil && e.MatchString(text) }
