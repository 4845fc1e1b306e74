//go:build unix

package atomicfile

import "os"

// syncDir makes a rename durable. Some network file systems refuse it; the
// rename itself has happened.
func syncDir(dir string) {
	d, err := os.Open(dir)
	if err != nil {
		return
	}
	_ = d.Sync()
	_ = d.Close()
}
