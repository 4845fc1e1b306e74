//go:build !linux

package cluster

// watchDir sends no notifications on this system; the caller has to poll.
func watchDir(string) (notices <-chan struct{}, stop func()) { return nil, func() {} }
