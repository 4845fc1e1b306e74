// Package winhpc is the launcher that starts the controller and engines as jobs
// of Windows HPC Server and HPC Pack. A set of engines is one job with a task for
// each.
package winhpc
