package process

// EnvMatch is a process that was found by a variable of its environment.
type EnvMatch struct {
	State   State
	Parent  int               // pid of the parent process
	Command string            // the beginning of its command line, without control characters
	Environ map[string]string // the environment with which it began
}
