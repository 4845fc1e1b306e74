package main

import (
	"net"
	"strings"

	"github.com/spf13/pflag"

	"github.com/ipcore/ipcore/core/controller"
	"github.com/ipcore/ipcore/core/controller/db/mongodb"
	"github.com/ipcore/ipcore/core/controller/db/sqlitedb"
)

// databaseFlags are the controller's flags behind the traits of upstream's
// databases.
func (o *controllerOptions) databaseFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.dbClass, "db-class", "", "database, by upstream's name of the class")
	fs.IntVar(&o.databases.DictDB.RecordLimit, "dictdb-records", 1024, "records kept of ended tasks")
	fs.Int64Var(&o.databases.DictDB.SizeLimit, "dictdb-bytes", 1<<30, "bytes kept of ended tasks")
	fs.Float64Var(&o.databases.DictDB.CullFraction, "dictdb-cull", 0.1, "part of a limit that is dropped when it is exceeded")
	fs.StringVar(&o.databases.SQLiteFile, "sqlitedb-file", sqlitedb.DefaultFile, "name of the file")
	fs.StringVar(&o.databases.SQLiteLocation, "sqlitedb-location", "", "directory of the file (default the profile)")
	fs.StringVar(&o.sqliteTable, "sqlitedb-table", sqlitedb.DefaultTable, "table; none is a new one for every controller")
	fs.StringVar(&o.mongoName, "mongodb-database", mongodb.DefaultDatabase, "database; none is a new one for every controller")
	fs.StringVar(&o.mongoArgs, "mongodb-args", "", "address: mongodb://…, or host and port")
	hide(fs, "db-class", "dictdb-records", "dictdb-bytes", "dictdb-cull", "sqlitedb-file", "sqlitedb-location", "sqlitedb-table",
		"mongodb-database", "mongodb-args")
}

// database names the database; the flag of a database wins over a class.
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
		return options, &usageError{text: "--mongodb-args: " + o.mongoArgs + " is no address", hint: "use mongodb://host:port, or ['host', port]"}
	}
	options.MongoURI = uri
	return options, nil
}

// mongoURI reads the arguments of pymongo's MongoClient: an address, or a host
// and maybe a port, as Python writes a list of them.
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
