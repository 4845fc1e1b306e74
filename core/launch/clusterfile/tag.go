package clusterfile

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/ipcore/ipcore/internal/atomicfile"
	"github.com/ipcore/ipcore/sdk/process"
)

// TagPrefix begins every tag.
const TagPrefix = "ipcore"

// NewTag returns a new tag for one start of a cluster.
func NewTag(profileDir, id string) string {
	sum := sha256.Sum256([]byte(profileDir + "\x00" + id))
	start := make([]byte, 4)
	_, _ = rand.Read(start) // never fails
	return TagPrefix + "-" + hex.EncodeToString(sum[:4]) + "-" + hex.EncodeToString(start)
}

// tagDir returns the folder with one file for each tag in use, which has the path of the
// cluster file. It distinguishes this account's tags from those of others.
func tagDir() (string, error) {
	state := process.Getenv("XDG_STATE_HOME")
	if runtime.GOOS == "windows" {
		state = process.Getenv("LOCALAPPDATA")
	}
	if !filepath.IsAbs(state) {
		home := process.Getenv("HOME")
		if !filepath.IsAbs(home) {
			return "", errors.New("no home directory")
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "ipcore", "tags"), nil
}

// RememberTag records which cluster file a tag belongs to.
func RememberTag(tag, clusterFile string) error {
	dir, err := tagDir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, tag), []byte(clusterFile+"\n"), 0o600)
}

// ForgetTag removes the file that RememberTag wrote, if it exists.
func ForgetTag(tag string) {
	dir, err := tagDir()
	if err != nil || tag == "" || filepath.Base(tag) != tag {
		return
	}
	_ = os.Remove(filepath.Join(dir, tag))
	_ = atomicfile.Clean(filepath.Join(dir, tag)) // temporary files of a killed writer
}

// RememberedTags returns the paths of cluster files by tag.
func RememberedTags() (map[string]string, error) {
	files := map[string]string{}
	dir, err := tagDir()
	if err != nil {
		return files, nil //nolint:nilerr // without a folder, nothing was written
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look for tags: %w", err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err == nil && strings.HasPrefix(e.Name(), TagPrefix+"-") {
			files[e.Name()] = strings.TrimSuffix(string(text), "\n")
		}
	}
	return files, nil
}
