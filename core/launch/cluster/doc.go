// Package cluster starts, watches and stops clusters: one controller and sets
// of engines, each run by a launcher plugin.
//
// A Cluster belongs to one supervisor, the process that started it. After each change it
// writes the cluster file in the profile's security folder. The file contains the
// launchers' states, from which a new plugin process finds the workloads again. So any
// later process can load the file and take over the cluster.
package cluster
