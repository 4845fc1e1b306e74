// Package clusterfile is the format of the cluster file, which records what a start of a
// cluster has launched, and of the names that belong to it: lock file, tags, log files.
package clusterfile
