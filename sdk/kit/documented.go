package kit

import "github.com/ipcore/ipcore/sdk"

// documented are the powers that docs/launchers.md promises for each launcher of
// ours: a test compares the two. For other launchers nothing is promised.
var documented = map[string][]sdk.Power{
	"local": {sdk.PowerWait, sdk.PowerSignal, sdk.PowerOutput, sdk.PowerStatus, sdk.PowerScript, sdk.PowerSweep},
}
