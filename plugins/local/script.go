package local

import (
	"context"
	"fmt"
	"runtime"
	"strings"

	"github.com/ipcore/ipcore/sdk"
)

// Script returns the command of the process.
func (l *Process) Script(_ context.Context, r sdk.StartRequest, check bool) (sdk.Script, error) {
	return script(r, 1, check)
}

// Script returns the command of an engine, and how often it would be started.
func (s *Set) Script(_ context.Context, r sdk.StartRequest, check bool) (sdk.Script, error) {
	return script(r, r.Count(runtime.NumCPU()), check)
}

func script(r sdk.StartRequest, n int, check bool) (sdk.Script, error) {
	if _, err := readOptions(r); err != nil {
		return sdk.Script{}, err
	}
	if check {
		return sdk.Script{}, fmt.Errorf("%w: the local launcher has no scheduler that could check a command", sdk.ErrUnsupported)
	}
	words := make([]string, len(r.Command))
	for i, w := range r.Command {
		words[i] = sdk.ShellQuote(w)
	}
	line := strings.Join(words, " ")
	if n > 1 {
		line += fmt.Sprintf("   # %d times", n)
	}
	return sdk.Script{Command: line}, nil
}
