//go:build !unix

package sockets

// openFilesLimit is how many files this process may have open; 0 is unknown.
func openFilesLimit() uint64 { return 0 }
