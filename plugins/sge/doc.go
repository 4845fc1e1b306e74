// Package sge is the launcher that starts the controller and engines as jobs of
// Grid Engine (Sun's, Son of, Univa's, Altair's). A set of engines is one job
// array. Grid Engine has no command that signals jobs.
package sge
