package conformance

import (
	"slices"

	"github.com/ipcore/ipcore/sdk"
)

// Check is one requirement for launchers.
type Check struct {
	Group string // the subject: "start", "stop"
	Name  string // unique; words joined by dashes
	Want  string // the requirement, a sentence

	Capability sdk.Capability // the check is not applicable without it; "" for none
	Executable bool           // it starts the plugin's executable itself
	Once       bool           // it runs once, not once for each kind
	Last       bool           // it runs after all others, alone
	EngineSets bool           // it applies to sets of engines only
	Linux      bool           // it needs /proc

	run func(*fixture)
}

// checks are all checks, in the order of the report.
var checks = slices.Concat(
	group("describe", describeChecks),
	group("handshake", handshakeChecks),
	group("start", startChecks),
	group("request", requestChecks),
	group("stop", stopChecks),
	group("workload-exit", exitChecks),
	group("restore", restoreChecks),
	group("events", eventChecks),
	group("detach", detachChecks),
	group("status", statusChecks),
	group("output", outputChecks),
	group("signal", signalChecks),
	group("script", scriptChecks),
	group("orphans", orphanChecks),
	group("capabilities", capabilityChecks),
	group("secrets", secretChecks),
	group("plugin-exit", pluginExitChecks),
	group("leftovers", leftoverChecks),
)

func group(name string, list []Check) []Check {
	for i := range list {
		list[i].Group = name
	}
	return list
}

// Checks returns all checks, in the order of the report.
func Checks() []Check { return slices.Clone(checks) }
