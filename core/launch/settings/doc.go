// Package settings turns settings of configuration files and command lines
// (SlurmLauncher.queue = "debug") into the options of each launcher of a cluster, by the
// configuration classes that the launchers declare.
package settings
