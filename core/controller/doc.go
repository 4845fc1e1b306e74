// Package controller assembles a controller: it opens the sockets, connects
// hub, relays, scheduler and heartbeat, writes the connection files and shuts
// everything down at the end. The controller is one process with goroutines;
// IPython Parallel's is a dozen processes.
package controller
