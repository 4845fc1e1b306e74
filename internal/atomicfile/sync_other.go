//go:build !unix

package atomicfile

// syncDir does nothing: this system can't sync directories.
func syncDir(string) {}
