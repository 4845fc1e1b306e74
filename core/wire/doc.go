// Package wire is IPython Parallel's message format: framing, packing, signing
// and errors carried as message content. It knows nothing of sockets.
package wire
