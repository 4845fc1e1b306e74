// Package batch is the launcher for batch systems. A system is data: a System
// names its commands, its directives and its words for states, and brings a
// small function that reads the answer of its status command. The rest is here:
// options, the script, submission, one shared status query for all jobs of the
// process, the end of each engine, and stopping.
//
// A plugin is then a few lines:
//
//	func main() { sdk.Serve(slurm.System.Info("1.0.0"), slurm.System.New()) }
//
// See plugins/slurm for a whole one.
package batch
