//go:build !linux

package process

import (
	"fmt"
	"runtime"

	"github.com/ipcore/ipcore/sdk"
)

// FindByEnv returns the processes of this machine that began with the variable name in
// their environment and a value for which match returns true. The error wraps
// sdk.ErrUnsupported when the operating system does not show environments.
func FindByEnv(string, func(value string) bool) ([]EnvMatch, error) {
	return nil, fmt.Errorf("%w: %s does not show the environment of processes", sdk.ErrUnsupported, runtime.GOOS)
}
