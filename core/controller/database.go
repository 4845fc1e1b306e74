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

// BySession as the name of a table or database stands for a different name in each
// run of a controller.
const BySession = "(session)"

// DBOptions are the options of all databases; only those of the selected one are
// used.
type DBOptions struct {
	DictDB dictdb.Options

	SQLiteFile     string // default: tasks.db; relative to SQLiteLocation
	SQLiteLocation string // directory of the file; default: the profile directory
	SQLiteTable    string // default: ipython-tasks; may be BySession

	// Queue configures the queue of changes before SQLite or MongoDB; its Log is
	// not used.
	Queue writer.Options

	MongoURI      string // default: mongodb://localhost:27017
	MongoDatabase string // default: ipython-tasks; may be BySession
}

// openDB opens the database that o.DB names, by a short name or by the name of
// IPython Parallel's class.
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

// noNil keeps the nil pointer that a failed open returns out of the interface.
func noNil[D db.DB](d D, err error) (db.DB, error) {
	if err != nil {
		return nil, err
	}
	return d, nil
}

// closeDB closes the database of a controller whose hub did not run.
func (c *controller) closeDB() {
	if c.database == nil {
		return
	}
	if err := c.database.Close(); err != nil {
		c.log.Error("task database not closed", "error", err)
	}
}
