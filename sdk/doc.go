// Package sdk is the API for authors of launchers, and everything that ipcore and
// launchers share.
//
// A launcher starts the controller and the engines of a cluster on one kind of
// system. It is an executable named ipcore-launcher-<name>. Its main function calls
// Serve with a Factory, a function that returns a new Launcher for each workload.
// The running process of a launcher is called a plugin, and the ipcore process that
// it serves is its host. A workload is what one Launcher starts: the controller, or
// a set of engines. The contract between host and plugin is
// proto/launcher/v1/launcher.proto; an author in Go does not need it.
//
// Package process runs local processes that outlive the plugin. Package batch is a
// launcher for batch systems that are described by data. Package plugintest runs
// the tests that every launcher has to pass.
package sdk
