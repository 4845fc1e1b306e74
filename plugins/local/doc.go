// Package local is the launcher that starts the controller and engines as
// processes of this machine.
package local
