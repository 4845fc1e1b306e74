package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// noEffect is the usage text of options that upstream's programs have and that
// mean nothing here. Who gives one is told.
const noEffect = "accepted; without effect"

// oldSections are former names of configuration classes.
var oldSections = map[string]string{
	"HubFactory": "IPController", "IPControllerApp": "IPController", "EngineFactory": "IPEngine", "IPEngineApp": "IPEngine",
}

// trait answers the flag that a configuration name stands for.
func (c *command) trait(name string) (flag string, known bool) {
	if class, attribute, _ := strings.Cut(name, "."); oldSections[class] != "" {
		name = oldSections[class] + "." + attribute
	}
	flag, known = c.traits[name]
	return flag, known
}

// A setting is one trait of a configuration file.
type setting struct{ trait, value string }

// configure sets the flags that the command line left alone from configuration
// files: extra when it is not empty, else the profile's <base>.py and <base>.json,
// of which the second goes before the first.
func (a *app) configure(c *command, dir, base, extra string) error {
	paths := []string{filepath.Join(dir, base+".py"), filepath.Join(dir, base+".json")}
	if extra != "" {
		if _, err := os.Stat(extra); err != nil {
			return fmt.Errorf("--config: %w", err)
		}
		paths = append(paths, extra)
	}
	given := map[string]bool{}
	for name := range c.traits {
		if flag := c.flags.Lookup(c.traits[name]); flag != nil && flag.Changed {
			given[flag.Name] = true
		}
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read the configuration: %w", err)
		}
		settings, err := a.parseConfig(path, text)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, s := range settings {
			flag, known := c.trait(s.trait)
			if !known || c.flags.Lookup(flag) == nil {
				a.errf("warning: %s: %s is not known here and has no effect\n", path, s.trait)
				continue
			}
			if given[flag] {
				continue
			}
			if err := c.flags.Set(flag, s.value); err != nil {
				return &usageError{command: c.name, text: fmt.Sprintf("%s: %s: %q is not valid: %v", path, s.trait, s.value, plainCause(err))}
			}
		}
	}
	return nil
}

func (a *app) parseConfig(path string, text []byte) ([]setting, error) {
	if filepath.Ext(path) == ".json" {
		return parseJSONConfig(text)
	}
	settings, odd := parsePythonConfig(string(text))
	for _, line := range odd {
		a.errf("warning: %s:%d: only lines of the form c.Class.trait = literal are understood here; this one has no effect\n", path, line)
	}
	return settings, nil
}

// parseJSONConfig reads {"Class": {"trait": value}}, the JSON form of traitlets.
func parseJSONConfig(text []byte) ([]setting, error) {
	var classes map[string]json.RawMessage
	if err := json.Unmarshal(text, &classes); err != nil {
		return nil, fmt.Errorf("no JSON configuration: %w", err)
	}
	var settings []setting
	for class, text := range classes {
		if class == "version" {
			continue
		}
		var traits map[string]any
		if err := json.Unmarshal(text, &traits); err != nil {
			return nil, fmt.Errorf("no JSON configuration: %s: %w", class, err)
		}
		for name, value := range traits {
			s, isText := value.(string)
			if !isText {
				text, err := json.Marshal(value)
				if err != nil {
					return nil, fmt.Errorf("%s.%s: %w", class, name, err)
				}
				s = string(text)
			}
			settings = append(settings, setting{class + "." + name, s})
		}
	}
	slices.SortFunc(settings, func(a, b setting) int { return strings.Compare(a.trait, b.trait) })
	return settings, nil
}

var (
	assignment = regexp.MustCompile(`^c\.([A-Z]\w*\.\w+)\s*=\s*(.+?)\s*$`)
	number     = regexp.MustCompile(`^[-+]?\d+(\.\d*)?$`)
	harmless   = regexp.MustCompile(`^\s*(#.*)?$|^c\s*=\s*get_config\(\)`)
)

// parsePythonConfig reads the assignments of literals in a configuration file
// that is a Python program. odd are the numbers of the lines that are more.
func parsePythonConfig(text string) (settings []setting, odd []int) {
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if harmless.MatchString(line) {
			continue
		}
		if m := assignment.FindStringSubmatch(line); m != nil {
			if value, ok := pythonLiteral(m[2]); ok {
				settings = append(settings, setting{m[1], value})
				continue
			}
		}
		odd = append(odd, i+1)
	}
	return settings, odd
}

// pythonLiteral answers what a literal of Python stands for: a number, True,
// False, a plain string, or a list of numbers, which stays as it is.
func pythonLiteral(text string) (string, bool) {
	bare, _, _ := strings.Cut(text, "#")
	bare = strings.TrimSpace(bare)
	switch {
	case number.MatchString(bare), bare == "True", bare == "False":
		return bare, true
	case strings.HasPrefix(bare, "[") && strings.HasSuffix(bare, "]"):
		for item := range strings.SplitSeq(bare[1:len(bare)-1], ",") {
			if item = strings.TrimSpace(item); item != "" && !number.MatchString(item) {
				return "", false
			}
		}
		return bare, true
	}
	return pythonString(text)
}

// pythonString reads a string or bytes literal without escapes.
func pythonString(text string) (string, bool) {
	text = strings.TrimLeft(text, "bu")
	if text == "" || text[0] != '\'' && text[0] != '"' {
		return "", false
	}
	body, rest, closed := strings.Cut(text[1:], text[:1])
	rest = strings.TrimSpace(rest)
	if !closed || rest != "" && rest[0] != '#' || strings.Contains(body, `\`) {
		return "", false
	}
	return body, true
}

// bytesFlag is the value of a trait that Python holds as bytes: b'text' or text.
type bytesFlag string

func (b *bytesFlag) String() string { return string(*b) }
func (b *bytesFlag) Type() string   { return "TEXT" }
func (b *bytesFlag) Set(text string) error {
	if strings.HasPrefix(text, "b'") || strings.HasPrefix(text, `b"`) {
		plain, ok := pythonString(text)
		if !ok {
			return errors.New("not a plain bytes literal: " + strconv.Quote(text))
		}
		text = plain
	}
	*b = bytesFlag(text)
	return nil
}
