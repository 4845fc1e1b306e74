// Package controller puts a controller together: it opens the sockets, joins
// hub, queues, scheduler and heartbeat, writes the connection files and ends
// all of it again. It is one process with goroutines where upstream has a
// dozen processes.
package controller
