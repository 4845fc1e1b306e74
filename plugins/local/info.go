package local

import (
	"encoding/json"

	"github.com/ipcore/ipcore/sdk"
)

// Version is the launcher's own version.
const Version = "1.0.0"

// Info describes the launcher.
func Info() sdk.Info {
	return sdk.Info{
		Name: "local", Version: Version,
		Kinds: []sdk.Kind{sdk.Controller, sdk.Engine, sdk.SingleEngine},
		Options: []sdk.Option{{
			Name: "delay", Type: "float", Default: json.RawMessage("0"),
			Help: "seconds between the starts of two engines; 0 starts them at once",
		}},
	}
}

// New makes the launcher of one controller, engine or set of engines.
func New(kind sdk.Kind, env sdk.Env) sdk.Launcher {
	if kind == sdk.Engine {
		return newSet(env)
	}
	return &Process{kind: kind}
}
