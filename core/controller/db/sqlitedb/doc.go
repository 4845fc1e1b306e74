// Package sqlitedb keeps task records in an SQLite file, in the form of IPython
// Parallel's: either program opens what the other has written. Changes are
// written in batches by package writer.
package sqlitedb
