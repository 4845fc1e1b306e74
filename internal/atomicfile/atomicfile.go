// Package atomicfile replaces files so that readers find either the old or the
// new content.
package atomicfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Write replaces the file at path: it writes, syncs and renames a temporary file in the
// same directory. Whatever happens, including a power cut, the file has either the old
// or the new content. Its mode is mode, regardless of the umask.
func Write(path string, data []byte, mode os.FileMode) error { return replace(path, data, mode, true) }

// Replace does the same as Write without waiting for the disk: if the program is
// killed, the file has the old or the new content; after a power cut it may be empty.
func Replace(path string, data []byte, mode os.FileMode) error {
	return replace(path, data, mode, false)
}

// Clean removes the temporary files that killed writers of the file have left next to
// it. The caller must make sure that no process is writing the file.
func Clean(path string) error {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("remove temporary files of %s: %w", path, err)
	}
	for _, e := range entries {
		name := strings.TrimLeft(e.Name(), ".") // the temporary file of a temporary file has two dots
		if name == e.Name() || !strings.HasPrefix(name, filepath.Base(path)+".") {
			continue
		}
		if err := os.Remove(filepath.Join(filepath.Dir(path), e.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove temporary files of %s: %w", path, err)
		}
	}
	return nil
}

func replace(path string, data []byte, mode os.FileMode, sync bool) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	if _, err = f.Write(data); err != nil {
		return err
	}
	if err = f.Chmod(mode); err != nil {
		return err
	}
	if sync {
		if err = f.Sync(); err != nil {
			return err
		}
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	if sync {
		syncDir(dir)
	}
	return nil
}
