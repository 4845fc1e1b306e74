package process

import (
	"fmt"
	"os"
)

// Self answers the state of this program's own process, by which others find
// it.
func Self() (State, error) {
	s, err := identify(os.Getpid())
	if err != nil {
		return State{}, fmt.Errorf("look up this process: %w", err)
	}
	return s, nil
}
