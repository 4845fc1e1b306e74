package batch

import "fmt"

// signals are the names of the signals that end jobs, by their numbers on Linux, which
// the nodes of batch systems run, whatever this machine runs.
var signals = map[int]string{
	1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL",
	10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM", 24: "SIGXCPU", 25: "SIGXFSZ",
}

// SignalName returns the name of a signal that ended a job, or "signal N" for a number
// that Signal does not know.
func SignalName(number int) string {
	if name, ok := Signal(number); ok {
		return name
	}
	return fmt.Sprintf("signal %d", number)
}

// WaitStatus decodes a status in the form of wait(2): the exit code, or the name of the
// signal that ended the process, and then code is -1.
func WaitStatus(status int) (code int, signal string) {
	if number := status & 0x7f; number != 0 {
		return -1, SignalName(number)
	}
	return status >> 8, ""
}

// Signal returns the name of a signal that ends jobs. ok is false if the number is not
// that of such a signal; callers use it where a code may be a signal or something
// else.
func Signal(number int) (name string, ok bool) {
	name, ok = signals[number]
	return name, ok
}
