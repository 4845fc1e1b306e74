package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

const (
	describeTimeout = 5 * time.Second
	describeLimit   = 1 << 20 // bytes of output
)

// described caches descriptions by file for the life of this process. A description costs
// one start of the executable: 5 ms for one that is written in Go.
var described = struct {
	sync.Mutex
	byFile map[fileKey]sdk.Info
}{byFile: make(map[fileKey]sdk.Info)}

// fileKey changes when an executable is replaced.
type fileKey struct {
	path  string
	size  int64
	mtime time.Time
}

// describe asks the executable to describe itself. The executable gets neither go-plugin's
// cookie nor input.
func describe(ctx context.Context, path string) (sdk.Info, error) {
	i, err := os.Stat(path)
	if err != nil {
		return sdk.Info{}, err
	}
	key := fileKey{path, i.Size(), i.ModTime()}
	described.Lock()
	info, ok := described.byFile[key]
	described.Unlock()
	if ok {
		return info, nil
	}
	if info, err = runDescribe(ctx, path); err != nil {
		return sdk.Info{}, err
	}
	described.Lock()
	described.byFile[key] = info
	described.Unlock()
	return info, nil
}

func runDescribe(ctx context.Context, path string) (sdk.Info, error) {
	limited, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	out, errs := process.TailBuffer{Max: describeLimit}, process.TailBuffer{Max: 4 << 10}
	cmd := exec.CommandContext(limited, path, "describe")
	cmd.Env = process.Environ(nil)
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = 500 * time.Millisecond // do not wait for a child that keeps the output open
	process.SetGroup(cmd)
	cmd.Cancel = func() error { return process.KillGroup(cmd.Process) }
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return sdk.Info{}, ctx.Err()
	case limited.Err() != nil:
		return sdk.Info{}, fmt.Errorf("%s describe: no reply within %v", path, describeTimeout)
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return sdk.Info{}, fmt.Errorf("%s describe: %w%s%s", path, err, StderrSuffix(errs.String()), missingInterpreter(path, err))
	}
	info, err := sdk.ParseInfo([]byte(out.String()))
	if err != nil {
		return sdk.Info{}, fmt.Errorf("%s describe: %w%s", path, err, StderrSuffix(errs.String()))
	}
	return info, nil
}

// StderrSuffix returns the end of a plugin's standard error in the form in which it is
// appended to an error message, or "" if there is none.
func StderrSuffix(stderr string) string {
	stderr = strings.ToValidUTF8(strings.TrimSpace(stderr), "\uFFFD")
	if stderr == "" {
		return ""
	}
	return "\nits last output:\n  " + strings.ReplaceAll(stderr, "\n", "\n  ")
}

// missingInterpreter returns the usual reason why a script can't be started, as a line for
// an error message: the interpreter in its first line does not exist. It returns "" if that
// is not the reason.
func missingInterpreter(path string, err error) string {
	if _, ran := errors.AsType[*exec.ExitError](err); ran {
		return ""
	}
	f, openErr := os.Open(path)
	if openErr != nil {
		return ""
	}
	defer f.Close()
	head := make([]byte, 256)
	n, _ := f.Read(head) // after an error, head is empty and nothing is reported
	line, _, _ := bytes.Cut(head[:n], []byte("\n"))
	words := strings.Fields(strings.TrimPrefix(string(line), "#!"))
	if !bytes.HasPrefix(line, []byte("#!")) || len(words) == 0 {
		return ""
	}
	if _, statErr := os.Stat(words[0]); statErr != nil {
		return fmt.Sprintf("\nits first line names %s, which does not exist", words[0])
	}
	return ""
}
