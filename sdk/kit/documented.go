package kit

import "github.com/ipcore/ipcore/sdk"

// documented are the powers that docs/launchers.md promises for each launcher of
// ours: a test compares the two. For other launchers nothing is promised.
var documented = map[string][]sdk.Power{
	"local":    {sdk.PowerWait, sdk.PowerSignal, sdk.PowerOutput, sdk.PowerStatus, sdk.PowerScript, sdk.PowerSweep},
	"mpi":      {sdk.PowerWait, sdk.PowerSignal, sdk.PowerOutput, sdk.PowerStatus, sdk.PowerScript, sdk.PowerSweep},
	"ssh":      {sdk.PowerWait, sdk.PowerSignal, sdk.PowerOutput, sdk.PowerConnectionInfo, sdk.PowerStatus, sdk.PowerScript, sdk.PowerSweep},
	"sshproxy": {sdk.PowerWait, sdk.PowerSignal, sdk.PowerOutput, sdk.PowerStatus, sdk.PowerScript, sdk.PowerSweep},
}

// exceptions are the checks that are not applicable to a launcher of ours, with
// the reason, which is its system's.
var exceptions = map[string]map[string]string{
	"mpi": {"lost-one": "what starts the ranks tells of the end of all, and most end all with one"},
}
