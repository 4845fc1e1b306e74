//go:build !linux

package process

import (
	"fmt"
	"runtime"

	"github.com/ipcore/ipcore/sdk"
)

// FindMarked answers the processes of this machine that began with name=value in
// their environment, for a value that match takes. sdk.ErrUnsupported: the system
// does not tell.
func FindByEnv(string, func(value string) bool) ([]EnvMatch, error) {
	return nil, fmt.Errorf("%w: %s does not tell the environment of processes", sdk.ErrUnsupported, runtime.GOOS)
}
