// Package traits reads configuration in the form of Python's traitlets:
// "Class.trait" names with a value, in configuration files and on command lines.
package traits

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/ipcore/ipcore/core/launch/settings"
	"github.com/ipcore/ipcore/internal/pyliteral"
	"github.com/ipcore/ipcore/sdk"
)

// A Table maps names of IPython Parallel's configuration ("HeartMonitor.period") to
// flags of a command ("ping").
type Table map[string]string

// oldClasses maps former names of configuration classes to today's.
var oldClasses = map[string]string{
	"HubFactory": "IPController", "IPControllerApp": "IPController", "EngineFactory": "IPEngine", "IPEngineApp": "IPEngine",
}

// Flag returns the flag that a name stands for, or "" if the table does not have it.
func (t Table) Flag(name string) string {
	if class, trait, _ := strings.Cut(name, "."); oldClasses[class] != "" {
		name = oldClasses[class] + "." + trait
	}
	return t[name]
}

var (
	traitPattern  = regexp.MustCompile(`^[A-Z][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)+$`)
	optionPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*\.[A-Za-z0-9_]+$`)
)

// IsTrait reports whether an option's name is that of a trait, "HeartMonitor.period".
func IsTrait(name string) bool { return traitPattern.MatchString(name) }

// IsLauncherOption reports whether an option's name has the form of a launcher's
// option, "slurm.queue".
func IsLauncherOption(name string) bool { return optionPattern.MatchString(name) }

// IsLauncherClass reports whether a configuration class can belong to a launcher:
// its name ends in "Launcher", or it is a valid name of a launcher.
func IsLauncherClass(class string) bool {
	return strings.HasSuffix(class, "Launcher") || sdk.ValidName(class)
}

// A Setting is one trait and its value in a configuration file.
type Setting struct {
	Name  string // "Class.trait"
	Value any    // as encoding/json decodes it, numbers as json.Number
}

// Text returns the value in the form that a flag takes.
func (s Setting) Text() string {
	if text, ok := s.Value.(string); ok {
		return text
	}
	text, err := json.Marshal(s.Value)
	if err != nil {
		return fmt.Sprint(s.Value)
	}
	return string(text)
}

// ForLauncher returns the setting in the registry's form, with the file as its
// source. It reports false if the class cannot belong to a launcher.
func (s Setting) ForLauncher(file string) (settings.Setting, bool) {
	class, trait, _ := strings.Cut(s.Name, ".")
	if !IsLauncherClass(class) {
		return settings.Setting{}, false
	}
	value, err := json.Marshal(s.Value)
	return settings.Setting{Class: class, Trait: trait, Value: value, Source: file}, err == nil
}

// Bytes is the value of a flag whose trait holds bytes in Python: b'text' or text.
type Bytes string

func (b *Bytes) String() string { return string(*b) }

// Type implements pflag.Value.
func (b *Bytes) Type() string { return "TEXT" }

// Set implements pflag.Value.
func (b *Bytes) Set(text string) error {
	if strings.HasPrefix(text, "b'") || strings.HasPrefix(text, `b"`) {
		v, err := pyliteral.Parse(text)
		plain, ok := v.(string)
		if err != nil || !ok {
			return errors.New("not a bytes literal: " + strconv.Quote(text))
		}
		text = plain
	}
	*b = Bytes(text)
	return nil
}
