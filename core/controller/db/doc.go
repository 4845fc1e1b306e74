// Package db is what the hub remembers of tasks: the record, the query language
// and the interface that its backends implement (dictdb, nodb). A backend is
// used by one goroutine at a time.
package db
