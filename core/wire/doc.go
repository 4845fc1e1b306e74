// Package wire is IPython Parallel's message format: framing, packing, signing
// and errors sent as message content. It does not depend on sockets.
package wire
