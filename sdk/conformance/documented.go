package conformance

import (
	"slices"

	"github.com/ipcore/ipcore/sdk"
)

var (
	all         = []sdk.Capability{sdk.CapabilityWait, sdk.CapabilitySignal, sdk.CapabilityOutput, sdk.CapabilityStatus, sdk.CapabilityScript, sdk.CapabilityOrphans}
	unsignalled = []sdk.Capability{sdk.CapabilityWait, sdk.CapabilityOutput, sdk.CapabilityStatus, sdk.CapabilityScript, sdk.CapabilityOrphans} // the system has no command for it
)

// documented are the powers that docs/launchers.md promises for each launcher of
// ours: a test compares the two. For other launchers nothing is promised.
var documented = map[string][]sdk.Capability{
	"local":    all,
	"mpi":      all,
	"ssh":      append(slices.Clone(all), sdk.CapabilityConnectionInfo),
	"sshproxy": all,
	"slurm":    all,
	"pbs":      all,
	"sge":      unsignalled,
	"lsf":      all,
	"htcondor": unsignalled,
	"winhpc":   unsignalled,
	"batch":    all,
}

// exceptions are the checks that are not applicable to a launcher of ours, with
// the reason, which is its system's.
var exceptions = map[string]map[string]string{
	"mpi": {"lost-one": "what starts the ranks tells of the end of all, and most end all with one"},
}
