// Package db defines the task database of the hub: the record of a task, the query
// language, and the interface that the backends implement (dictdb, nodb, sqlitedb,
// mongodb). A backend is used by one goroutine at a time.
package db
