// Package ssh is the launcher that starts the controller and engines on other
// machines with OpenSSH's own client, so that its configuration, agents, jump hosts
// and Kerberos work as they do for the user.
//
// A machine needs sshd and a POSIX shell. Each call is one script that goes to the
// shell's input: nothing is ever quoted for a login shell, and no secret is on a
// command line. All calls of a machine share one connection. A process is known by
// its number with the time it began, and its exit code is in a file beside its log.
package ssh
