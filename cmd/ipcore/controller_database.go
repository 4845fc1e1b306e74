package main

import (
	"net"
	"strings"

	"github.com/ipcore/ipcore/cmd/ipcore/internal/cli"
	"github.com/ipcore/ipcore/core/controller"
	"github.com/ipcore/ipcore/core/controller/db/mongodb"
	"github.com/ipcore/ipcore/core/controller/db/sqlitedb"
)

// addDatabaseFlags adds the flags for the traits of IPython Parallel's databases.
func (o *controllerOptions) addDatabaseFlags(c *cli.Command) {
	fs := c.Flags()
	fs.StringVar(&o.dbClass, "db-class", "", "database, by IPython Parallel's name of the class")
	fs.IntVar(&o.databases.DictDB.RecordLimit, "dictdb-records", 1024, "how many records of ended tasks to keep")
	fs.Int64Var(&o.databases.DictDB.SizeLimit, "dictdb-bytes", 1<<30, "how many bytes of ended tasks to keep")
	fs.Float64Var(&o.databases.DictDB.CullFraction, "dictdb-cull", 0.1, "fraction of a limit to drop when it is exceeded")
	fs.StringVar(&o.databases.SQLiteFile, "sqlitedb-file", sqlitedb.DefaultFile, "name of the file")
	fs.StringVar(&o.databases.SQLiteLocation, "sqlitedb-location", "", "directory of the file (default the profile)")
	fs.StringVar(&o.sqliteTable, "sqlitedb-table", sqlitedb.DefaultTable, "name of the table; an empty one stands for a new table for each controller")
	fs.StringVar(&o.mongoName, "mongodb-database", mongodb.DefaultDatabase, "name of the database; an empty one stands for a new database for each controller")
	fs.StringVar(&o.mongoArgs, "mongodb-args", "", "address: mongodb://…, or host and port")
	c.Hide("db-class", "dictdb-records", "dictdb-bytes", "dictdb-cull", "sqlitedb-file", "sqlitedb-location", "sqlitedb-table",
		"mongodb-database", "mongodb-args")
}

// database returns the name of the database. The flag of a database takes precedence
// over --db-class.
func (o *controllerOptions) database() string {
	switch {
	case o.sqliteDB:
		return "sqlitedb"
	case o.mongoDB:
		return "mongodb"
	case o.noDB:
		return "nodb"
	case o.dictDB || o.dbClass == "":
		return "dictdb"
	}
	return o.dbClass
}

func (o *controllerOptions) databaseOptions() (controller.DBOptions, error) {
	options := o.databases
	named := func(name, usual string) string {
		switch name {
		case "":
			return controller.BySession
		case usual:
			return ""
		}
		return name
	}
	options.SQLiteTable = named(o.sqliteTable, sqlitedb.DefaultTable)
	options.MongoDatabase = named(o.mongoName, mongodb.DefaultDatabase)
	uri, ok := mongoURI(o.mongoArgs)
	if !ok {
		return options, cli.UsageError("--mongodb-args: "+o.mongoArgs+" is not an address", "use mongodb://host:port, or ['host', port]")
	}
	options.MongoURI = uri
	return options, nil
}

// mongoURI returns the address in the arguments of pymongo's MongoClient: an address,
// or a host and optionally a port, as a Python list. It reports false if there is none.
func mongoURI(args string) (string, bool) {
	text := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(args), "["), "]")
	if text == "" {
		return "", args == "" || args == "[]"
	}
	unquote := func(s string) string { return strings.Trim(strings.TrimSpace(s), `'"`) }
	if whole := unquote(text); strings.Contains(whole, "://") {
		return whole, true
	}
	host, port, hasPort := strings.Cut(text, ",")
	switch host = unquote(host); {
	case host == "":
		return "", false
	case hasPort:
		host = net.JoinHostPort(host, unquote(port))
	}
	return "mongodb://" + host, true
}
