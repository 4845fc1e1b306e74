package local

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/ipcore/ipcore/sdk"
)

// Main is the program ipcore-launcher-local. It does not return.
func Main() { sdk.Serve(Info(), New) }

// Info describes the launcher.
func Info() sdk.Info {
	return sdk.Info{
		Name: "local", PrivateEnv: true,
		Kinds: []sdk.Kind{sdk.Controller, sdk.Engine, sdk.SingleEngine},
		Options: []sdk.Option{{
			Name: "delay", Type: "float", Default: json.RawMessage("0"),
			Help:  "seconds between the starts of two engines; 0 starts them at once",
			Kinds: []sdk.Kind{sdk.Engine},
		}, {
			Name: "stop_seconds_until_kill", Type: "float", Default: json.RawMessage("5"),
			Help: "seconds between SIGTERM and SIGKILL when stopping",
		}},
		Classes: map[sdk.Kind][]string{
			sdk.Controller:   {"LocalControllerLauncher", "LocalProcessLauncher", "ControllerLauncher", "BaseLauncher"},
			sdk.Engine:       {"LocalEngineSetLauncher", "LocalEngineLauncher", "LocalProcessLauncher", "EngineLauncher", "BaseLauncher"},
			sdk.SingleEngine: {"LocalEngineLauncher", "LocalProcessLauncher", "EngineLauncher", "BaseLauncher"},
		},
	}
}

// options are the launcher's own options; both are in seconds.
type options struct {
	Delay float64  `json:"delay"`
	Grace *float64 `json:"stop_seconds_until_kill"` // nil: the default
}

// readOptions reads and checks the options of a request.
func readOptions(r sdk.StartRequest) (options, error) {
	var o options
	if err := r.DecodeOptions(&o); err != nil {
		return o, err
	}
	const limit = 3600
	if o.Delay < 0 || o.Delay > limit {
		return o, fmt.Errorf("%w: delay is %v, want 0 to %d seconds", sdk.ErrBadOption, o.Delay, limit)
	}
	if o.Grace != nil && (*o.Grace <= 0 || *o.Grace > limit) {
		return o, fmt.Errorf("%w: stop_seconds_until_kill is %v, want more than 0 and at most %d", sdk.ErrBadOption, *o.Grace, limit)
	}
	return o, nil
}

// seconds converts an option's value to a duration.
func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// New returns the launcher of one controller, one engine or a set of engines.
func New(kind sdk.Kind, host sdk.Host) sdk.Launcher {
	if kind == sdk.Engine {
		return newSet(host)
	}
	return &Process{kind: kind}
}
