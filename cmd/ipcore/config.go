package main

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
	"strconv"
	"strings"

	"github.com/ipcore/ipcore/core/launch/settings"

	"github.com/ipcore/ipcore/internal/pyliteral"
	"github.com/ipcore/ipcore/sdk"
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
	flag = c.traits[name]
	return flag, c.flags.Lookup(flag) != nil
}

// A setting is one trait of a configuration file.
type setting struct {
	trait string
	value any // as encoding/json has it
}

// text is the value as a flag takes it.
func (s setting) text() string {
	if text, ok := s.value.(string); ok {
		return text
	}
	text, err := json.Marshal(s.value)
	if err != nil {
		return fmt.Sprint(s.value)
	}
	return string(text)
}

// forLauncher answers what the setting says to a launcher; ok is false when its
// class is none of a launcher.
func (s setting) forLauncher(path string) (of settings.Setting, ok bool) {
	class, trait, _ := strings.Cut(s.trait, ".")
	if !launcherClass(class) {
		return of, false
	}
	value, err := json.Marshal(s.value)
	return settings.Setting{Class: class, Trait: trait, Value: value, Source: path}, err == nil
}

// launcherClass tells whether a configuration class may be a launcher's: it is
// called so, or it is a launcher's name.
func launcherClass(class string) bool {
	return strings.HasSuffix(class, "Launcher") || sdk.ValidName(class)
}

// configure sets the flags that the command line left alone from configuration
// files: extra when it is not empty, else the profile's <base>.py and <base>.json,
// of which the second goes before the first.
func (a *app) configure(c *command, dir, base, extra string) error {
	paths := configFiles(dir, base)
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
		settings, err := a.readConfig(path)
		if err != nil {
			return err
		}
		for _, s := range settings {
			if of, ok := s.forLauncher(path); ok && c.launchers {
				c.settings = append(c.settings, of)
				continue
			}
			flag, known := c.trait(s.trait)
			if !known {
				a.errf("warning: %s: %s is not known here and has no effect\n", path, s.trait)
				continue
			}
			if given[flag] {
				continue
			}
			if err := c.flags.Set(flag, s.text()); err != nil {
				return &usageError{command: c.name, text: fmt.Sprintf("%s: %s: %q is not valid: %v", path, s.trait, s.text(), plainCause(err))}
			}
		}
	}
	return nil
}

// configFiles are the configuration files of a folder, the one that wins last.
func configFiles(dir, base string) []string {
	return []string{filepath.Join(dir, base+".py"), filepath.Join(dir, base+".json")}
}

// launcherSettings answers what the ipcluster_config of a profile's folder says to
// launchers.
func (a *app) launcherSettings(dir string) (all []settings.Setting, err error) {
	for _, path := range configFiles(dir, "ipcluster_config") {
		settings, err := a.readConfig(path)
		if err != nil {
			return nil, err
		}
		for _, s := range settings {
			if of, ok := s.forLauncher(path); ok {
				all = append(all, of)
			}
		}
	}
	return all, nil
}

// readConfig answers the settings of a file, none when it is not there.
func (a *app) readConfig(path string) ([]setting, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	settings, err := a.parseConfig(path, text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return settings, nil
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
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber() // 300 is not 3e2
		if err := d.Decode(&traits); err != nil {
			return nil, fmt.Errorf("no JSON configuration: %s: %w", class, err)
		}
		for name, value := range traits {
			settings = append(settings, setting{class + "." + name, value})
		}
	}
	slices.SortFunc(settings, func(a, b setting) int { return strings.Compare(a.trait, b.trait) })
	return settings, nil
}

var (
	assignment = regexp.MustCompile(`^c\.([A-Z]\w*\.\w+)\s*=\s*`)
	harmless   = regexp.MustCompile(`^\s*(#.*)?$|^c\s*=\s*get_config\(\)`)
	lineEnd    = regexp.MustCompile(`^[ \t;]*(#[^\n]*)?(\n|$)`)
)

// parsePythonConfig reads the assignments of literals in a configuration file
// that is a Python program. odd are the numbers of the lines that are more.
func parsePythonConfig(text string) (settings []setting, odd []int) {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	for rest := text; rest != ""; {
		line, after, _ := strings.Cut(rest, "\n")
		if m := assignment.FindStringSubmatch(line); m != nil {
			value, behind, err := pyliteral.Prefix(rest[len(m[0]):])
			if end := lineEnd.FindString(behind); err == nil && (end != "" || behind == "") {
				settings = append(settings, setting{m[1], value})
				rest = behind[len(end):]
				continue
			}
		}
		if !harmless.MatchString(line) {
			odd = append(odd, 1+strings.Count(text[:len(text)-len(rest)], "\n"))
		}
		rest = after
	}
	return settings, odd
}

// bytesFlag is the value of a trait that Python holds as bytes: b'text' or text.
type bytesFlag string

func (b *bytesFlag) String() string { return string(*b) }
func (b *bytesFlag) Type() string   { return "TEXT" }
func (b *bytesFlag) Set(text string) error {
	if strings.HasPrefix(text, "b'") || strings.HasPrefix(text, `b"`) {
		v, err := pyliteral.Parse(text)
		plain, ok := v.(string)
		if err != nil || !ok {
			return errors.New("not a bytes literal: " + strconv.Quote(text))
		}
		text = plain
	}
	*b = bytesFlag(text)
	return nil
}
