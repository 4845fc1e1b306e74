// Package conformance is the list of checks that every launcher has to pass. The
// command `ipcore launchers test` runs them on an executable in any language, and
// package plugintest on a launcher in Go inside its test.
//
// The checks start real workloads, small shell scripts that create files in a folder,
// and observe them from outside. A check of a capability that the launcher does not
// declare is not applicable.
package conformance
