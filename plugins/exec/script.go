package exec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

const (
	describeTimeout = 5 * time.Second
	verbTimeout     = 30 * time.Second // of every verb but start
	startTimeout    = 5 * time.Minute
	answerLimit     = 1 << 20 // bytes of stdout
	wordsLimit      = 4 << 10 // bytes of stderr that are kept
	defaultPoll     = 2 * time.Second
)

// The exit codes of a script that mean something, after sysexits.h.
var exitCodes = map[int]error{
	3:  sdk.ErrNotRunning,
	64: sdk.ErrBadOption,
	69: sdk.ErrUnsupported,
	75: sdk.ErrUnknownStatus,
}

// Script is a launcher that is a script.
type Script struct {
	Info sdk.Info // as the script describes itself

	path     string
	poll     time.Duration
	resident *resident // of a script that serves; else nil, and each verb is a process
}

// Open asks the script what it is.
func Open(path string) (*Script, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("script %s: %w", path, err)
	}
	s := &Script{path: path, poll: defaultPoll}
	ctx, cancel := context.WithTimeout(context.Background(), describeTimeout)
	defer cancel()
	out, err := s.run(ctx, verb{name: "describe", log: hclog.NewNullLogger()})
	if err != nil {
		return nil, err
	}
	if s.Info, err = sdk.ParseInfo(out); err != nil {
		return nil, fmt.Errorf("%s describe: %w", path, err)
	}
	if s.Info.Speaks != sdk.SpeaksScript {
		return nil, fmt.Errorf("%s speaks %q, not %q", path, s.Info.Speaks, sdk.SpeaksScript)
	}
	var more struct {
		Poll  float64 `json:"poll"`  // seconds between two looks
		Serve bool    `json:"serve"` // all verbs in one process
	}
	if err := json.Unmarshal(out, &more); err != nil {
		return nil, fmt.Errorf("%s describe: %w", path, err)
	}
	if more.Poll > 0 {
		s.poll = time.Duration(min(more.Poll, 3600) * float64(time.Second))
	}
	if more.Serve {
		s.resident = &resident{path: path}
	}
	return s, nil
}

// Close ends the script's resident process; workloads keep running.
func (s *Script) Close() {
	if s.resident != nil {
		s.resident.close()
	}
}

// New returns the launcher of one workload.
func (s *Script) New(kind sdk.Kind, env sdk.Host) sdk.Launcher {
	return &Launcher{script: s, kind: kind, env: env, look: make(chan struct{}, 1)}
}

// verb is one run of the script.
type verb struct {
	name  string
	args  []string
	input any               // the request, as JSON on stdin
	env   map[string]string // added to the environment
	dir   string
	log   hclog.Logger
}

// run runs the script and returns what it printed.
func (s *Script) run(ctx context.Context, v verb) ([]byte, error) {
	if s.resident != nil {
		return s.resident.do(ctx, v)
	}
	input, err := json.Marshal(v.input)
	if err != nil {
		return nil, fmt.Errorf("write the request: %w", err)
	}
	out, words := &bounded{limit: answerLimit}, &bounded{limit: wordsLimit, last: true}
	cmd := osexec.CommandContext(ctx, s.path, append([]string{v.name}, v.args...)...)
	cmd.Dir, cmd.Env = v.dir, process.Environ(v.env)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), out, words
	cmd.WaitDelay = 500 * time.Millisecond // what it started may hold its output
	process.SetGroup(cmd)
	cmd.Cancel = func() error { return process.KillGroup(cmd.Process) }
	err = cmd.Run()
	for line := range strings.Lines(words.String()) {
		v.log.Info(strings.TrimSpace(line), "verb", v.name)
	}
	exit, ended := errors.AsType[*osexec.ExitError](err)
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s: no end in time: %w", v.name, ctx.Err())
	case out.over:
		return nil, fmt.Errorf("%s printed more than %d bytes", v.name, answerLimit)
	case ended:
		return nil, failure(v.name, exit.ExitCode(), words.String())
	case errors.Is(err, osexec.ErrWaitDelay), err == nil, errors.Is(err, io.ErrClosedPipe):
		return out.Bytes(), nil
	}
	return nil, fmt.Errorf("%w: %s: %w", sdk.ErrBadOption, v.name, err)
}

// failure says why a verb failed, in the script's words.
func failure(verb string, code int, stderr string) error {
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	last := lines[len(lines)-1]
	if last == "" {
		last = "it said nothing on stderr"
	}
	if kind := exitCodes[code]; kind != nil {
		return fmt.Errorf("%w: %s: %s", kind, verb, last)
	}
	return fmt.Errorf("%s ended with code %d: %s", verb, code, last)
}

// bounded keeps what is written to it up to a limit: the first, or the last.
type bounded struct {
	kept  bytes.Buffer // not embedded: its ReadFrom would know no limit
	limit int
	last  bool
	over  bool
}

func (b *bounded) Write(p []byte) (int, error) {
	n := len(p)
	switch {
	case b.last:
		b.kept.Write(p)
		if over := b.kept.Len() - b.limit; over > 0 {
			b.kept.Next(over)
		}
	case b.kept.Len()+n > b.limit:
		b.over = true
	default:
		b.kept.Write(p)
	}
	return n, nil
}

// Bytes returns what is kept.
func (b *bounded) Bytes() []byte { return b.kept.Bytes() }

func (b *bounded) String() string { return b.kept.String() }
