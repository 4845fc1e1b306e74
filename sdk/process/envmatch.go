package process

// Marked is a process that was found by a variable of its environment.
type EnvMatch struct {
	State   State
	Parent  int               // pid of its parent
	Command string            // the beginning of its command line, fit for a terminal
	Environ map[string]string // what it began with
}
