package controller

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/ipcore/ipcore/core/controller/db"
	"github.com/ipcore/ipcore/core/controller/db/dictdb"
	"github.com/ipcore/ipcore/core/controller/db/mongodb"
	"github.com/ipcore/ipcore/core/controller/db/nodb"
	"github.com/ipcore/ipcore/core/controller/db/sqlitedb"
	"github.com/ipcore/ipcore/core/controller/db/writer"
)

// BySession as the name of a table or of a database is a name of its own for
// every run of a controller.
const BySession = "(session)"

// DBOptions are those of the databases; only one of them is used.
type DBOptions struct {
	DictDB dictdb.Options

	SQLiteFile     string // tasks.db; relative to SQLiteLocation
	SQLiteLocation string // directory of the file: the profile directory
	SQLiteTable    string // ipython-tasks, or BySession

	// Queue is what waits to be written to SQLite or MongoDB; its Log is not
	// used.
	Queue writer.Options

	MongoURI      string // mongodb://localhost:27017
	MongoDatabase string // ipython-tasks, or BySession
}

// openDB opens the database that o names: by a word, or as IPython Parallel
// names its classes.
func (o *Options) openDB(session string) (db.DB, error) {
	log := o.Log.Named("db")
	kind := o.DB[strings.LastIndexByte(o.DB, '.')+1:]
	switch strings.ToLower(kind) {
	case "dictdb":
		return dictdb.New(o.DBOptions.DictDB)
	case "nodb":
		return nodb.DB{}, nil
	case "sqlitedb":
		file := cmp.Or(o.DBOptions.SQLiteFile, sqlitedb.DefaultFile)
		if !filepath.IsAbs(file) {
			file = filepath.Join(cmp.Or(o.DBOptions.SQLiteLocation, o.Profile.Dir), file)
		}
		table := o.DBOptions.SQLiteTable
		if table == BySession {
			table = "_" + strings.ReplaceAll(session, "-", "_")
		}
		return noNil(sqlitedb.Open(sqlitedb.Options{File: file, Table: table, Log: log, Writer: o.DBOptions.Queue}))
	case "mongodb":
		name := o.DBOptions.MongoDatabase
		if name == BySession {
			name = session
		}
		return noNil(mongodb.Open(mongodb.Options{URI: o.DBOptions.MongoURI, Database: name, Log: log, Writer: o.DBOptions.Queue}))
	}
	return nil, fmt.Errorf("unknown database %q: use dictdb, sqlitedb, mongodb or nodb", o.DB)
}

// noNil keeps the nil pointer of a failure out of the interface.
func noNil[D db.DB](d D, err error) (db.DB, error) {
	if err != nil {
		return nil, err
	}
	return d, nil
}

// closeDB closes the database of a controller that did not come to run.
func (c *controller) closeDB() {
	if c.base == nil {
		return
	}
	if err := c.base.Close(); err != nil {
		c.log.Error("task database not closed", "error", err)
	}
}
