// Package conformance is the conformance kit: what every launcher has to do, as one list
// of checks. The command `ipcore launchers test` runs them against an executable
// in any language, package plugintest against a launcher in Go inside its test.
//
// The checks start real workloads, which are small shell scripts that leave
// files in a folder, and look at them from outside. A check that is about a power
// that the launcher does not announce is not applicable (NA).
package conformance
