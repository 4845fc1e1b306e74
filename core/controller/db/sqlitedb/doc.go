// Package sqlitedb stores task records in an SQLite file in IPython Parallel's format:
// each program can open files of the other. Changes are written in batches by package
// writer.
package sqlitedb
