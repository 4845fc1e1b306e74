// Package nodb is a task database that stores nothing.
package nodb

import "github.com/ipcore/ipcore/core/controller/db"

// DB discards all records; every query fails with NoData.
type DB struct{}

var _ db.DB = DB{}

// Name returns the backend's name.
func (DB) Name() string { return "NoDB" }

// Add does nothing.
func (DB) Add(*db.Record) error { return nil }

// Update does nothing.
func (DB) Update(string, *db.Change) error { return nil }

// Drop does nothing.
func (DB) Drop(string) error { return nil }

// DropMatching does nothing.
func (DB) DropMatching(db.Query) (int, error) { return 0, nil }

// Get fails with NoData.
func (DB) Get(string) (*db.Record, error) { return nil, db.NoData() }

// Find fails with NoData.
func (DB) Find(db.Query, db.Fields) ([]*db.Record, error) { return nil, db.NoData() }

// History fails with NoData.
func (DB) History() ([]string, error) { return nil, db.NoData() }

// Close does nothing.
func (DB) Close() error { return nil }
