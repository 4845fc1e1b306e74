// Package cluster starts, watches and stops clusters: one controller and sets
// of engines, each run by a launcher plugin.
//
// A Cluster belongs to one supervisor, the process that started it. What it
// runs is written to the cluster file in the profile's security folder after
// each change, so that any later process can load the file and take over: the
// launchers' states are in it, and a new plugin process recovers from them.
package cluster
