package ssh

// controlDir returns "": ssh on Windows shares no connections.
func controlDir() string { return "" }
