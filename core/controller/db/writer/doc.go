// Package writer is a task database over a store on disk or on a server: changes
// are queued in memory and written in batches by one goroutine, so that the
// caller never waits for a write, and every read sees what is queued.
//
// A batch that fails is tried again, unchanged, until it is written. While the
// store does not take writes the queue grows up to Options.MaxQueued; beyond
// that the oldest records of ended tasks are given up, counted and logged.
// Records of pending tasks never are. A read that fails makes further ones fail
// at once, until the writing goroutine finds the store answering again: a store
// that hangs holds its caller up once.
package writer
