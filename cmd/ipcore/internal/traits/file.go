package traits

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/ipcore/ipcore/internal/pyliteral"
)

// Files returns the paths of a program's configuration files in a profile's folder.
// Settings of a later file take precedence over those of an earlier one.
func Files(dir, base string) []string {
	return []string{filepath.Join(dir, base+".py"), filepath.Join(dir, base+".json")}
}

// ReadFile returns the settings of a configuration file; a file that does not exist
// has none. skipped are the numbers of the lines of a Python file that are more than
// "c.Class.trait = literal"; they have no effect.
func ReadFile(path string) (settings []Setting, skipped []int, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the configuration: %w", err)
	}
	if filepath.Ext(path) != ".json" {
		settings, skipped = parsePython(string(text))
		return settings, skipped, nil
	}
	if settings, err = parseJSON(text); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return settings, nil, nil
}

// parseJSON reads {"Class": {"trait": value}}, the JSON form of traitlets.
func parseJSON(text []byte) ([]Setting, error) {
	var classes map[string]json.RawMessage
	if err := json.Unmarshal(text, &classes); err != nil {
		return nil, fmt.Errorf("not a JSON configuration: %w", err)
	}
	var settings []Setting
	for class, text := range classes {
		if class == "version" {
			continue
		}
		var traits map[string]any
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber() // keeps 300 from becoming 3e2
		if err := d.Decode(&traits); err != nil {
			return nil, fmt.Errorf("not a JSON configuration: %s: %w", class, err)
		}
		for name, value := range traits {
			settings = append(settings, Setting{class + "." + name, value})
		}
	}
	slices.SortFunc(settings, func(a, b Setting) int { return strings.Compare(a.Name, b.Name) })
	return settings, nil
}

var (
	assignment = regexp.MustCompile(`^c\.([A-Z]\w*\.\w+)\s*=\s*`)
	harmless   = regexp.MustCompile(`^\s*(#.*)?$|^c\s*=\s*get_config\(\)`)
	lineEnd    = regexp.MustCompile(`^[ \t;]*(#[^\n]*)?(\n|$)`)
)

// parsePython reads the assignments of literals in a configuration file that is a
// Python program. skipped are the numbers of all other lines that do something.
func parsePython(text string) (settings []Setting, skipped []int) {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	for rest := text; rest != ""; {
		line, after, _ := strings.Cut(rest, "\n")
		if m := assignment.FindStringSubmatch(line); m != nil {
			value, behind, err := pyliteral.Prefix(rest[len(m[0]):])
			if end := lineEnd.FindString(behind); err == nil && (end != "" || behind == "") {
				settings = append(settings, Setting{m[1], value})
				rest = behind[len(end):]
				continue
			}
		}
		if !harmless.MatchString(line) {
			skipped = append(skipped, 1+strings.Count(text[:len(text)-len(rest)], "\n"))
		}
		rest = after
	}
	return settings, skipped
}
