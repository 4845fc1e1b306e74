package batch

import "os/exec"

// ownGroup does nothing: ending the command has to do.
func ownGroup(*exec.Cmd) {}
