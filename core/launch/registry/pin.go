package registry

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// pinFile is the file of a profile that pins launchers, in sha256sum's form:
//
//	sha256sum /opt/ipcore/ipcore-launcher-slurm >>PROFILE/launchers.sha256
//
// A launcher that is named there has to have one of the checksums. Other launchers are not
// restricted.
const pinFile = "launchers.sha256"

// pinLine matches a line of the file: a checksum, and a path of which only the last element
// matters.
var pinLine = regexp.MustCompile(`^([0-9a-fA-F]{64}) [ *](.+)$`)

// pins returns the checksums that the profile allows for each launcher that it pins.
func (s Search) pins() (map[string][]string, error) {
	if s.ProfileDir == "" {
		return nil, nil
	}
	path := filepath.Join(s.ProfileDir, pinFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read which launchers are pinned: %w", err)
	}
	defer f.Close()
	pins := make(map[string][]string)
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		form := pinLine.FindStringSubmatch(line)
		if form == nil {
			return nil, fmt.Errorf("%s, line %d: must be the output of sha256sum, a checksum and a path", path, n)
		}
		name, ok := launcherName(filepath.Base(form[2]))
		if !ok {
			return nil, fmt.Errorf("%s, line %d: %s is not the file name of a launcher (%sNAME)", path, n, form[2], Prefix)
		}
		pins[name] = append(pins[name], strings.ToLower(form[1]))
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read which launchers are pinned: %w", err)
	}
	return pins, nil
}

// checkPin refuses a file whose checksum is not one of allowed. If allowed is empty, it
// accepts any file.
func checkPin(path string, allowed []string) error {
	if len(allowed) == 0 {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); !slices.Contains(allowed, got) {
		return fmt.Errorf("refused: %s has the sha256 %s, but the profile's %s pins another one; to accept this file, add the output of sha256sum there",
			path, got, pinFile)
	}
	return nil
}
