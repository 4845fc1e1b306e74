// Package pbs is the launcher that starts the controller and engines as jobs of
// OpenPBS (PBS Professional) or Torque, whichever qsub turns out to be. A set of
// engines is one job array.
package pbs
