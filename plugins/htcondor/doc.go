// Package htcondor is the launcher that starts the controller and engines as jobs
// of HTCondor. A set of engines is one cluster of jobs ("queue N").
package htcondor
