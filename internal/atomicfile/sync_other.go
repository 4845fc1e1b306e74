//go:build !unix

package atomicfile

// syncDir does nothing: directories can't be synced here.
func syncDir(string) {}
