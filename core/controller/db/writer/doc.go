// Package writer is a task database on top of a store on disk or on a server. Changes
// are queued in memory and written in batches by one goroutine, so callers never wait
// for a write; every read includes the queued changes.
//
// A batch that fails is retried, unchanged, until it is written. While the store does
// not accept writes, the queue grows up to Options.MaxQueued; beyond that, the oldest
// records of ended tasks are discarded, counted and logged. Records of pending tasks
// are never discarded. After a read has failed, further reads fail at once until the
// writing goroutine finds that the store responds again: a store that hangs delays its
// caller only once.
package writer
