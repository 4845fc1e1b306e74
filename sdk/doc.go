// Package sdk is what an author of a launcher needs, and all that ipcore and a
// launcher share.
//
// A launcher starts the controller and the engines of a cluster on one kind of
// system. It is an executable named ipcore-launcher-<name> whose main calls
// Serve with a function that makes Launchers. The contract on the wire is
// proto/launcher/v1/launcher.proto; nothing of it shows in a Launcher.
//
// Package process runs local processes that outlive the plugin. Package
// plugintest holds the tests that every launcher has to pass.
package sdk
