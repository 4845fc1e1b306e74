// Package arguments says what a controller's command-line arguments mean for those who
// start it. It covers ipcore's own controller and IPython Parallel's ipcontroller. It is the
// only package besides the command itself that knows these names.
package arguments

import (
	"slices"
	"strings"
)

// addressNames are the arguments that set an address to listen on.
var addressNames = []string{
	"ip", "client-ip", "engine-ip",
	"IPController.ip", "IPController.client_ip", "IPController.engine_ip", "HubFactory.ip",
}

// keepNames are the arguments with which a controller leaves its connection files behind
// when it ends, to use them again when it is started the next time.
var keepNames = []string{"reuse", "restore", "IPController.reuse_files", "IPController.restore_engines"}

// SetAddress reports whether a controller's arguments say where it listens.
func SetAddress(args []string) bool {
	return slices.ContainsFunc(args, func(arg string) bool {
		name, _, ok := split(arg)
		return ok && slices.Contains(addressNames, name)
	})
}

// KeepFiles reports whether a controller with this command keeps its connection files.
func KeepFiles(command []string) bool {
	return slices.ContainsFunc(command, func(arg string) bool {
		name, value, ok := split(arg)
		return ok && slices.Contains(keepNames, name) && !strings.EqualFold(value, "false")
	})
}

// split returns the name and the value of an argument -name=value or --name=value. ok is
// false for other words.
func split(arg string) (name, value string, ok bool) {
	rest := strings.TrimLeft(arg, "-")
	name, value, _ = strings.Cut(rest, "=")
	return name, value, rest != arg
}
