package conformance

import (
	"slices"

	"github.com/ipcore/ipcore/sdk"
)

// Check is one thing that every launcher has to do.
type Check struct {
	Group string // what it is about: "start", "stop"
	Name  string // unique, words joined by dashes
	Want  string // what is expected, a sentence

	Capability sdk.Capability // not applicable without it; "" for none
	Executable bool           // it starts the plugin's executable by itself
	Once       bool           // not once for each kind
	Last       bool           // behind all others, alone
	EngineSets bool           // only for sets of engines
	Linux      bool           // it reads /proc

	run func(*fixture)
}

// checks is the list, in the order of the report.
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

// Checks answers the whole list.
func Checks() []Check { return slices.Clone(checks) }
