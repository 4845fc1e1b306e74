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

// Write replaces the file at path: a temporary file in the same directory is
// written, synced and renamed. Whatever happens, a power cut included, the file
// is the old or the new one. Its mode is mode whatever the umask.
func Write(path string, data []byte, mode os.FileMode) error { return replace(path, data, mode, true) }

// Replace does the same without waiting for the disk: a program that is killed
// leaves the old or the new file, a power cut may leave an empty one.
func Replace(path string, data []byte, mode os.FileMode) error {
	return replace(path, data, mode, false)
}

// Clean removes temporary files that killed writers of the file left next to it. The
// caller makes sure that no process is writing the file.
func Clean(path string) error {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("clean up beside %s: %w", path, err)
	}
	for _, e := range entries {
		name := strings.TrimLeft(e.Name(), ".") // a leftover's own leftover has two dots
		if name == e.Name() || !strings.HasPrefix(name, filepath.Base(path)+".") {
			continue
		}
		if err := os.Remove(filepath.Join(filepath.Dir(path), e.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("clean up beside %s: %w", path, err)
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
