//go:build !linux

package process

import (
	"fmt"
	"runtime"

	"github.com/ipcore/ipcore/sdk"
)

// tagged can't tell: the system shows no process's environment.
func tagged(func(tag string) bool) ([]taggedProcess, error) {
	return nil, fmt.Errorf("%w: %s does not show the environment of processes", sdk.ErrUnsupported, runtime.GOOS)
}
