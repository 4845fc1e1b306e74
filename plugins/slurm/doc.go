// Package slurm is the launcher that starts the controller and engines as jobs of
// Slurm. A set of engines is one job array; with layout=tasks it is one job whose
// engines srun starts.
package slurm
