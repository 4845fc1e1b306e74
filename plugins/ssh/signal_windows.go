package ssh

// signalName returns a signal's name, "SIGKILL" for 9, or "" for a number without a name.
// The numbers are those that all unix systems share.
func signalName(n int) string {
	return map[int]string{1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 6: "SIGABRT", 9: "SIGKILL", 11: "SIGSEGV", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM"}[n]
}
