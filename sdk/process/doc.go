// Package process runs local processes that outlive the program that started
// them, and finds them again from their State in another program.
//
// A process gets a session of its own, no input, a log file for its output and
// an environment without what is between ipcore and its plugins. It is known by
// its pid together with its create time, so that a recycled pid is never taken
// for it. Stopping it ends its whole session.
package process
