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
	maxStdout = 64 << 20 // bytes; a query about a hundred thousand jobs
	maxStderr = 64 << 10
	reapWait  = 2 * time.Second // for a command's children to let its pipes go
)

// command is one run of a command of the system.
type command struct {
	words  []string
	option string            // that sets it: "submit_command"
	dir    string            // "" is the current folder
	stdin  string            //
	env    map[string]string // added to this process's; nil: the C locale too
	limit  time.Duration
}

// failure is a command that did not do what it was asked.
type commandError struct {
	words          []string
	stdout, stderr string
	code           int // -1: it did not end by itself
	err            error
	down           bool // the system could not be reached
	gone           bool // the system does not know the job
	ended          bool // the job has ended
}

func (f *commandError) Error() string {
	said := firstLines(strings.TrimSpace(f.stderr), 4)
	if said == "" {
		said = firstLines(strings.TrimSpace(f.stdout), 4)
	}
	switch {
	case f.code < 0 && said == "":
		return fmt.Sprintf("%s: %v", f.words[0], f.err)
	case f.code < 0:
		return fmt.Sprintf("%s: %v; it had said: %s", f.words[0], f.err, said)
	case said == "":
		return fmt.Sprintf("%s ended with code %d and said nothing", f.words[0], f.code)
	}
	return fmt.Sprintf("%s ended with code %d: %s", f.words[0], f.code, said)
}

func (f *commandError) Unwrap() error { return f.err }

// run runs a command and answers what it printed. Its error is a *failure, or
// sdk.ErrBadOption when there is no such command.
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
		err = fmt.Errorf("it printed more than %d MiB", maxStdout>>20)
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
		said := stderr + "\n" + stdout
		f.gone = matches(s.Gone, said) || s.GoneCode != 0 && f.code == s.GoneCode
		f.ended = matches(s.Ended, said)
		f.down = matches(s.Down, said) && !f.gone && !f.ended
	}
	return stdout, stderr, f
}

// noCommand explains a command that can't be run.
func (s *System) noCommand(c command, err error) error {
	reason := "is not here"
	if errors.Is(err, fs.ErrPermission) {
		reason = "can't be run"
	} else if c.dir != "" && !errors.Is(err, exec.ErrNotFound) {
		reason = fmt.Sprintf("can't be run in %s (%v)", c.dir, err)
	}
	return fmt.Errorf("%w: the command %s %s; is %s installed on this machine? --%sLauncher.%s=... names another command",
		sdk.ErrBadOption, c.words[0], reason, s.Package, s.Class, c.option)
}

// submitEnviron is the environment that a job may inherit from its submission:
// this process's and extra, less the cluster's secrets, which the system would
// show to everybody.
func submitEnviron(extra map[string]string) []string {
	var env []string
	for _, kv := range process.Environ(extra) {
		if name, _, _ := strings.Cut(kv, "="); !secret(name) {
			env = append(env, kv)
		}
	}
	if process.Getenv("LC_ALL") == "" { // the job's own locale stays, messages are English
		env = append(env, "LC_MESSAGES=C")
	}
	return env
}

// secret tells whether a variable holds a key of the cluster.
func secret(name string) bool {
	switch name {
	case "IPP_CONNECTION_INFO", "IPP_SESSION_KEY", "IPP_CURVE_SECRETKEY":
		return true
	}
	return false
}

// bounded keeps the first max bytes of what is written to it.
type cappedBuffer struct {
	buf bytes.Buffer
	max int
	cut bool
}

func (b *cappedBuffer) Write(p []byte) (int, error) {
	room := b.max - b.buf.Len()
	if len(p) > room {
		b.cut = true
		b.buf.Write(p[:room])
	} else {
		b.buf.Write(p)
	}
	return len(p), nil
}

func (b *cappedBuffer) String() string { return b.buf.String() }

// firstLines answers the first n lines, in one.
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
