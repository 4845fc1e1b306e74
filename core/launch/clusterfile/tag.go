package cluster

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

// tagPrefix begins every tag.
const tagPrefix = "ipcore"

// newTag makes the tag of one start of a cluster.
func newTag(profileDir, id string) string {
	sum := sha256.Sum256([]byte(profileDir + "\x00" + id))
	start := make([]byte, 4)
	_, _ = rand.Read(start) // never fails
	return tagPrefix + "-" + hex.EncodeToString(sum[:4]) + "-" + hex.EncodeToString(start)
}

// tagDir is the folder with one file for each tag in use, which names the
// cluster file: so what is found by a tag can be told from somebody else's.
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

// rememberTag writes down which cluster file a tag belongs to.
func rememberTag(tag, clusterFile string) error {
	dir, err := tagDir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, tag), []byte(clusterFile+"\n"), 0o600)
}

// forgetTag removes what rememberTag wrote. That it is gone already is as good.
func forgetTag(tag string) {
	dir, err := tagDir()
	if err != nil || tag == "" || filepath.Base(tag) != tag {
		return
	}
	_ = os.Remove(filepath.Join(dir, tag))
	_ = atomicfile.Clean(filepath.Join(dir, tag)) // of a writer that was killed
}

// rememberedTags answers the cluster files by tag.
func rememberedTags() (map[string]string, error) {
	files := map[string]string{}
	dir, err := tagDir()
	if err != nil {
		return files, nil //nolint:nilerr // nothing can have been written then
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look for tags: %w", err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err == nil && strings.HasPrefix(e.Name(), tagPrefix+"-") {
			files[e.Name()] = strings.TrimSuffix(string(text), "\n")
		}
	}
	return files, nil
}
