package ssh

// controlDir answers "": ssh on Windows shares no connections.
func controlDir() string { return "" }
