// Package ssh is the launcher that starts the controller and engines on other
// machines with OpenSSH's client, so that its configuration, agents, jump hosts and
// Kerberos work as they do for the user.
//
// A machine needs sshd and a POSIX shell. Each call is one script that is written to the
// shell's input, so that nothing is quoted for a login shell, and no secret is on a
// command line. All calls of a machine share one connection. A process is identified by
// its pid and its start time, and its exit code is in a file next to its log.
package ssh
