//go:build unix

package atomicfile

import "os"

// syncDir makes a rename in dir durable. Some network file systems refuse that; the
// error is ignored because the rename itself has succeeded.
func syncDir(dir string) {
	d, err := os.Open(dir)
	if err != nil {
		return
	}
	_ = d.Sync()
	_ = d.Close()
}
