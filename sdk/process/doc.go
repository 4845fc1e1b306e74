// Package process runs local processes that outlive the program that started
// them, and finds them again from their State in another program.
//
// A process has a session of its own, no input, a log file for its output, and an
// environment without the variables that are between ipcore and its plugins. It is
// identified by its pid together with its creation time, so that another process with
// a recycled pid is never mistaken for it. Stopping it ends its whole session.
package process
