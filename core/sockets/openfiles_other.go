//go:build !unix

package sockets

// openFilesLimit returns how many files this process may have open; 0 means unknown.
func openFilesLimit() uint64 { return 0 }
