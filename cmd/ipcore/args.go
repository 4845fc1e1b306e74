package main

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/ipcore/ipcore/core/launch/settings"
)

var (
	// traitPattern matches the name of a configuration trait, "HeartMonitor.period".
	traitPattern = regexp.MustCompile(`^[A-Z][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)+$`)
	// optionPattern matches a launcher's option, "slurm.queue".
	optionPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*\.[A-Za-z0-9_]+$`)
)

// normalise rewrites the forms that Python's command lines use into those that
// pflag reads: -name and -name=value for long names become --name, traits of
// the command's table become its flags, settings of launchers are put aside, and
// an option of the form "--name value" whose value is empty or begins with a dash
// is joined. It answers the traits that have no meaning here. Everything from "--"
// on stays.
func normalise(c *command, args []string) (out, ignored []string, err error) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return append(out, args[i:]...), ignored, nil
		}
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			out = append(out, arg)
			continue
		}
		name, value, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if traitPattern.MatchString(name) || c.launchers && optionPattern.MatchString(name) {
			flag, known := c.trait(name)
			if c.traits == nil {
				return nil, nil, fmt.Errorf("unknown option --%s", name)
			}
			if !hasValue && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
				i++
				value, hasValue = args[i], true
			}
			if class, trait, _ := strings.Cut(name, "."); !known && c.launchers && launcherClass(class) {
				if !hasValue {
					value = "true"
				}
				c.set(class, trait, value)
				continue
			}
			if !known {
				ignored = append(ignored, name)
				continue
			}
			if hasValue {
				out = append(out, "--"+flag+"="+value)
			} else {
				out = append(out, "--"+flag)
			}
			continue
		}
		f := c.flags.Lookup(name)
		if f == nil {
			out = append(out, arg)
			continue
		}
		takesValue := f.NoOptDefVal == ""
		switch {
		case hasValue:
			out = append(out, "--"+name+"="+value)
		case takesValue && i+1 < len(args) && args[i+1] != "--":
			i++
			out = append(out, "--"+name+"="+args[i])
		default:
			out = append(out, "--"+name)
		}
	}
	return out, ignored, nil
}

// set puts a launcher's setting aside. The same one again adds to it.
func (c *command) set(class, trait, value string) {
	for i := range c.settings {
		if s := &c.settings[i]; s.Class == class && s.Trait == trait && s.Source == "" {
			s.Words = append(s.Words, value)
			return
		}
	}
	c.settings = append(c.settings, settings.Setting{Class: class, Trait: trait, Words: []string{value}})
}
