// Package plugin starts launcher plugins and calls them. With package sdk, it is the
// only one that uses go-plugin.
//
// A plugin is the running process of a launcher's executable. It serves any number of
// workloads, each a controller or a set of engines. If the plugin process ends, its
// workloads keep running, and another plugin process finds them again from their states.
package plugin
