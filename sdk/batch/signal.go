package batch

import "fmt"

// signals are the names of the signals that end jobs, by Linux's numbers: the
// nodes of batch systems run it, whatever this machine runs.
var signals = map[int]string{
	1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL",
	10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM", 24: "SIGXCPU", 25: "SIGXFSZ",
}

// SignalName answers the name of a signal by which a system says that a job ended.
func SignalName(number int) string {
	if name, ok := Signal(number); ok {
		return name
	}
	return fmt.Sprintf("signal %d", number)
}

// WaitStatus reads a status as wait(2) answers it; code is -1 beside a signal.
func WaitStatus(status int) (code int, signal string) {
	if number := status & 0x7f; number != 0 {
		return -1, SignalName(number)
	}
	return status >> 8, ""
}

// Signal answers the name of a signal that ends jobs; ok is false for a number that
// is none, where a code may mean a signal or something else.
func Signal(number int) (name string, ok bool) {
	name, ok = signals[number]
	return name, ok
}
