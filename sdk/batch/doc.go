// Package batch is the launcher for batch systems. A batch system is described by a
// System: its commands, its directives, its words for states, and a small function
// that parses the output of its status command. This package does the rest: options,
// the script, submission, one shared status query for all jobs of the process,
// noticing the end of each engine, and stopping.
//
// A plugin is then a few lines:
//
//	func main() { sdk.Serve(slurm.System.Info("1.0.0"), slurm.System.New()) }
//
// See plugins/slurm for a complete one.
package batch
