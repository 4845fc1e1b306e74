// Package nodb is the task database that keeps nothing.
package nodb

import "github.com/ipcore/ipcore/core/controller/db"

// DB forgets what it is given and answers every question with NoData.
type DB struct{}

var _ db.DB = DB{}

// Name is the backend's name.
func (DB) Name() string { return "NoDB" }

// Add does nothing.
func (DB) Add(*db.Record) error { return nil }

// Update does nothing.
func (DB) Update(string, *db.Change) error { return nil }

// Drop does nothing.
func (DB) Drop(string) error { return nil }

// DropMatching does nothing.
func (DB) DropMatching(db.Query) (int, error) { return 0, nil }

// Get returns NoData.
func (DB) Get(string) (*db.Record, error) { return nil, db.NoData() }

// Find returns NoData.
func (DB) Find(db.Query, db.Fields) ([]*db.Record, error) { return nil, db.NoData() }

// History returns NoData.
func (DB) History() ([]string, error) { return nil, db.NoData() }

// Close does nothing.
func (DB) Close() error { return nil }
