// Package lsf is the launcher that starts the controller and engines as jobs of
// LSF. A set of engines is one job array. It asks for nothing that LSF-compatible
// systems such as OpenLava lack.
package lsf
