package cli

import (
	"errors"
	"fmt"

	"github.com/ipcore/ipcore/core/launch/cluster"
	"github.com/ipcore/ipcore/core/launch/registry"
	"github.com/ipcore/ipcore/core/profile"
	"github.com/ipcore/ipcore/sdk"
)

// optionFlags are the flags that set a field of cluster.Options.
var optionFlags = map[string]string{"N": "-n", "Wait": "--wait", "ID": "--cluster-id", "Profile": "--profile-dir"}

// launcherFlags are the flags that choose the launcher of a kind of workload.
var launcherFlags = map[sdk.Kind]string{sdk.Controller: "--controller", sdk.Engine: "--engines"}

// Explain turns an error of the packages in core, which know no command line, into one
// that names flags and commands. It returns any other error unchanged.
func Explain(err error) error {
	if e, ok := errors.AsType[*profile.NameError](err); ok {
		return WithHint(&launcherError{flag: "--profile", err: e}, "use --profile-dir for a directory")
	}
	if _, ok := errors.AsType[*profile.HomeError](err); ok {
		return WithHint(err, "set IPYTHONDIR, or use --profile-dir")
	}
	if e, ok := errors.AsType[*cluster.OptionError](err); ok {
		shown := fmt.Sprint(e.Value)
		if text, ok := e.Value.(string); ok {
			shown = fmt.Sprintf("%q", text)
		}
		return UsageError(fmt.Sprintf("%s: %s, got %s", optionFlags[e.Field], e.Reason, shown), "")
	}
	if e, ok := errors.AsType[*cluster.LauncherError](err); ok {
		err = &launcherError{flag: launcherFlags[e.Kind], err: e.Err}
	}
	if _, ok := errors.AsType[*registry.PythonError](err); ok {
		return WithHint(err, "choose another Python with --python or IPCORE_PYTHON")
	}
	if _, ok := errors.AsType[*cluster.ElsewhereError](err); ok {
		return WithHint(err, "run ipcore stop on that host")
	}
	if _, ok := errors.AsType[*cluster.ControllerTimeoutError](err); ok {
		return WithHint(err, "give a slow controller longer with --timeout")
	}
	if _, ok := errors.AsType[*cluster.RegistrationTimeoutError](err); ok {
		return WithHint(err, "give slow engines longer with --timeout")
	}
	return err
}

// launcherError is an error of the launcher or profile that a flag chose.
type launcherError struct {
	flag string
	err  error
}

func (e *launcherError) Error() string { return e.flag + ": " + e.err.Error() }
func (e *launcherError) Unwrap() error { return e.err }
