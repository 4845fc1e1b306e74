package cli

import (
	"fmt"
	"os"

	"github.com/ipcore/ipcore/cmd/ipcore/internal/traits"
	"github.com/ipcore/ipcore/core/launch/settings"
)

// ReadConfig sets the flags that the command line did not set from configuration
// files: <base>.py and <base>.json in the profile's folder, and extra unless it is
// "". A later file takes precedence over an earlier one.
func (a *App) ReadConfig(c *Command, dir, base, extra string) error {
	paths := traits.Files(dir, base)
	if extra != "" {
		if _, err := os.Stat(extra); err != nil {
			return fmt.Errorf("--config: %w", err)
		}
		paths = append(paths, extra)
	}
	given := map[string]bool{}
	for _, name := range c.Traits {
		if flag := c.Flags().Lookup(name); flag != nil && flag.Changed {
			given[flag.Name] = true
		}
	}
	for _, path := range paths {
		settings, err := a.readFile(path)
		if err != nil {
			return err
		}
		for _, s := range settings {
			if of, ok := s.ForLauncher(path); ok && c.Launchers {
				c.Settings = append(c.Settings, of)
				continue
			}
			flag, known := c.trait(s.Name)
			if !known {
				a.Errf("warning: %s: %s is not known here and has no effect\n", path, s.Name)
				continue
			}
			if given[flag] {
				continue
			}
			if err := c.Flags().Set(flag, s.Text()); err != nil {
				return UsageError(fmt.Sprintf("%s: %s: %q is not valid: %v", path, s.Name, s.Text(), plainCause(err)), "")
			}
		}
	}
	return nil
}

// LauncherSettings returns the settings of launchers in the ipcluster_config files
// of a profile's folder.
func (a *App) LauncherSettings(dir string) ([]settings.Setting, error) {
	var all []settings.Setting
	for _, path := range traits.Files(dir, "ipcluster_config") {
		settings, err := a.readFile(path)
		if err != nil {
			return nil, err
		}
		for _, s := range settings {
			if of, ok := s.ForLauncher(path); ok {
				all = append(all, of)
			}
		}
	}
	return all, nil
}

// readFile reads a configuration file and warns of lines that have no effect.
func (a *App) readFile(path string) ([]traits.Setting, error) {
	settings, skipped, err := traits.ReadFile(path)
	for _, line := range skipped {
		a.Errf("warning: %s:%d: only lines of the form c.Class.trait = literal are understood here; this one has no effect\n", path, line)
	}
	return settings, err
}
