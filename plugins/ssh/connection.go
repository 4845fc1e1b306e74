package ssh

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

const (
	// maxAnswer bounds what a call may print, in bytes.
	maxAnswer = 16 << 20
	// idle is how long a shared connection stays when nobody uses it.
	idle = 60 * time.Second
)

// callLimit bounds one call of a host, in addition to the time to connect.
var callLimit = time.Minute

// errUnreachable means that ssh failed, for whatever reason.
var errUnreachable = errors.New("can't be reached over ssh")

// args returns ssh's arguments up to the command. The user's come first, because ssh
// uses the first value of an option.
func (t *target) args() []string {
	a := append([]string(nil), t.SSHArgs...)
	a = append(a, t.common()...)
	if t.Port != 0 {
		a = append(a, "-p", strconv.Itoa(t.Port))
	}
	return append(a, "-T", t.address())
}

// common returns the arguments that ssh and scp share.
func (t *target) common() []string {
	a := []string{
		"-o", "BatchMode=yes", // a question for a password would hang for ever
		"-o", fmt.Sprintf("ConnectTimeout=%d", max(1, int(t.Connect))),
		"-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4",
	}
	if dir := t.controlDir(); dir != "" {
		a = append(a, "-o", "ControlMaster=auto", "-o", "ControlPath="+filepath.Join(dir, "%C"),
			"-o", fmt.Sprintf("ControlPersist=%d", int(idle.Seconds())))
	}
	return a
}

func (t *target) address() string {
	if t.User != "" {
		return t.User + "@" + t.Hostname
	}
	return t.Hostname
}

// controlDir returns the folder of shared connections, or "" when they are not to be
// shared or the folder can't be trusted.
func (t *target) controlDir() string {
	if !*t.Share {
		return ""
	}
	return controlDir()
}

// call runs a script in the shell of the host and returns the lines that the script
// printed with say. The error wraps errUnreachable if the script may not have run to its
// end.
func (t *target) call(ctx context.Context, script string) ([]string, error) {
	word := "ipc" + rand.Text()[:12]
	text := "T=" + word + "\n" + libScript + script + "\nsay end\nexit 0\n"
	ctx, cancel := context.WithTimeout(ctx, seconds(t.Connect)+callLimit)
	defer cancel()
	out, said, err := t.run(ctx, "exec /bin/sh -s", strings.NewReader(text))
	if strings.Contains(said, "unix_listener") {
		// The folder of shared connections was removed just now, and nothing was run.
		alone := *t
		alone.Share = new(false)
		out, said, err = alone.run(ctx, "exec /bin/sh -s", strings.NewReader(text))
	}
	var lines []string
	for line := range strings.SplitSeq(out, "\n") {
		if rest, ok := strings.CutPrefix(line, word+" "); ok {
			lines = append(lines, rest)
		}
	}
	if n := len(lines); n > 0 && lines[n-1] == "end" {
		return lines[:n-1], nil
	}
	// An error of the script ends it early.
	if n := len(lines); n > 0 {
		if text, ok := strings.CutPrefix(lines[n-1], "error "); ok {
			return lines[:n-1], t.refusal(text)
		}
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return lines, t.unreachable(err, said)
}

// run runs ssh with a command and returns its standard output and standard error.
func (t *target) run(ctx context.Context, command string, input io.Reader) (out, said string, err error) {
	// A shared connection's ssh may outlive the one that created it and keep stderr
	// open, so stderr is a file, and this does not wait for its end.
	stderr, done, err := scratch()
	if err != nil {
		return "", "", err
	}
	defer done()
	words := append(append([]string(nil), t.SSH...), append(t.args(), command)...)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env = process.Environ(map[string]string{"SSH_ASKPASS_REQUIRE": "never"})
	stdout := &bounded{max: maxAnswer}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, stdout, stderr
	cmd.WaitDelay = 2 * time.Second
	err = cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	return stdout.String(), saidIn(stderr), err
}

// scratch creates a file without a name, so that a program that is killed leaves nothing.
func scratch() (f *os.File, done func(), err error) {
	f, err = os.CreateTemp("", "ipcore-ssh-*")
	if err != nil {
		return nil, nil, err
	}
	_ = os.Remove(f.Name()) // Windows removes it when it is closed, below
	return f, func() {
		_ = f.Close()           // it was read
		_ = os.Remove(f.Name()) // other systems have removed it above
	}, nil
}

// saidIn returns the beginning of what was written to a file.
func saidIn(f *os.File) string {
	b := make([]byte, 16<<10)
	n, _ := f.ReadAt(b, 0) // at its end there is less
	return strings.TrimSpace(strings.ToValidUTF8(string(b[:n]), "\uFFFD"))
}

// bounded is a buffer that keeps the first max bytes and discards the rest.
type bounded struct {
	bytes.Buffer
	max int
}

func (b *bounded) Write(p []byte) (int, error) {
	if room := b.max - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// sshHints say what to do about ssh's messages.
var sshHints = []struct{ sign, hint string }{
	{"Permission denied", "ssh has to get in without a question: load a key into an agent (ssh-add), and try `ssh %s true`"},
	{"Host key verification failed", "run `ssh %s true` once by hand and look at the key"},
	{"Could not resolve hostname", "is %s the name that ssh's configuration has?"},
	{"Connection refused", "does sshd run on %s, and on this port?"},
	{"timed out", "is %s up, and is a jump host or another network needed?"},
	{"executable file not found", "install OpenSSH's client, or set ssh_cmd (for %s)"},
}

// unreachable returns the error of a call that ssh could not carry out.
func (t *target) unreachable(err error, said string) error {
	text := lastLine(said)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		text = strings.TrimPrefix(text+"; no answer in time", "; ")
	case text == "" && err != nil:
		text = err.Error()
	case text == "":
		text = "the connection ended early"
	}
	for _, h := range sshHints {
		if strings.Contains(said+text, h.sign) {
			text += " (" + fmt.Sprintf(h.hint, t.Hostname) + ")"
			break
		}
	}
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w: %w", t.name(), errUnreachable, err)
	}
	return fmt.Errorf("%s: %w: %s", t.name(), errUnreachable, text)
}

// refusal returns the error of a script that failed.
func (t *target) refusal(text string) error {
	if program, ok := strings.CutPrefix(text, "no-program "); ok {
		return fmt.Errorf("%w: %s: there is no program %s; --SSHLauncher.copy_binary=true copies this machine's ipcore there, and remote_ipcore and remote_python name what is there",
			sdk.ErrBadOption, t.name(), program)
	}
	return fmt.Errorf("%s: %s", t.name(), text)
}

// lastLine returns the last line of ssh's messages that is not a warning.
func lastLine(said string) string {
	lines := strings.Split(said, "\n")
	for _, line := range slices.Backward(lines) {
		if l := strings.TrimSpace(line); l != "" && !strings.HasPrefix(l, "Warning:") {
			return l
		}
	}
	return ""
}

// letGo lets the shared connection end when nobody uses it anymore.
func (t *target) letGo(ctx context.Context) {
	dir := t.controlDir()
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	words := append(append([]string(nil), t.SSH...), "-O", "stop")
	words = append(words, t.args()...)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env = process.Environ(nil)
	cmd.WaitDelay = time.Second
	_ = cmd.Run()      // fails if there is no shared connection
	_ = os.Remove(dir) // fails if the folder has other shared connections
}
