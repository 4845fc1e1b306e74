package process

import (
	"fmt"
	"os"
)

// Self returns the state of this program's own process, with which other programs find
// it.
func Self() (State, error) {
	s, err := identify(os.Getpid())
	if err != nil {
		return State{}, fmt.Errorf("look up this process: %w", err)
	}
	return s, nil
}
