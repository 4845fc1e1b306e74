package cli

import (
	"fmt"
	"strings"

	"github.com/ipcore/ipcore/cmd/ipcore/internal/traits"
	"github.com/ipcore/ipcore/core/launch/settings"
)

// normalize rewrites the forms that Python's command lines use into those that
// pflag reads: -name and -name=value for long names become --name, traits of the
// command's table become its flags, settings of launchers go to c.Settings, and an
// option of the form "--name value" whose value is empty or begins with a dash is
// joined. ignored are the traits that are not known here. Everything after "--"
// stays as it is.
func (c *Command) normalize(args []string) (out, ignored []string, err error) {
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
		if traits.IsTrait(name) || c.Launchers && traits.IsLauncherOption(name) {
			if c.Traits == nil {
				return nil, nil, fmt.Errorf("unknown option --%s", name)
			}
			if !hasValue && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
				i++
				value, hasValue = args[i], true
			}
			flag, known := c.trait(name)
			class, trait, _ := strings.Cut(name, ".")
			switch {
			case known && hasValue:
				out = append(out, "--"+flag+"="+value)
			case known:
				out = append(out, "--"+flag)
			case c.Launchers && traits.IsLauncherClass(class):
				if !hasValue {
					value = "true"
				}
				c.addSetting(class, trait, value)
			default:
				ignored = append(ignored, name)
			}
			continue
		}
		f := c.Flags().Lookup(name)
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

// trait returns the flag that a configuration name stands for, and whether the
// command has it.
func (c *Command) trait(name string) (flag string, known bool) {
	flag = c.Traits.Flag(name)
	return flag, c.Flags().Lookup(flag) != nil
}

// addSetting adds a launcher's setting of the command line. One that was given
// before gets another word.
func (c *Command) addSetting(class, trait, value string) {
	for i := range c.Settings {
		if s := &c.Settings[i]; s.Class == class && s.Trait == trait && s.Source == "" {
			s.Words = append(s.Words, value)
			return
		}
	}
	c.Settings = append(c.Settings, settings.Setting{Class: class, Trait: trait, Words: []string{value}})
}
