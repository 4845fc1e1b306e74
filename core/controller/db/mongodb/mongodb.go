package mongodb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ipcore/ipcore/core/controller/db/writer"
)

// Defaults, which are IPython Parallel's.
const (
	DefaultURI      = "mongodb://localhost:27017"
	DefaultDatabase = "ipython-tasks"
)

// collection is the name of the collection of records.
const collection = "task_records"

// Options configure a database.
type Options struct {
	URI      string // default: DefaultURI
	Database string // default: DefaultDatabase
	// Log receives failures; nil discards them.
	Log hclog.Logger
	// Writer are further options of the queue; its Log is Log.
	Writer writer.Options
}

// openTimeout limits the time for opening, closeTimeout that for closing.
const (
	openTimeout  = 5 * time.Second
	closeTimeout = 2 * time.Second
)

// Open connects to a server.
func Open(o Options) (*writer.DB, error) {
	s, err := open(o)
	if err != nil {
		return nil, fmt.Errorf("MongoDB: %w", err)
	}
	o.Writer.Log = o.Log
	return writer.New(s, o.Writer), nil
}

func open(o Options) (*store, error) {
	log := o.Log
	if log == nil {
		log = hclog.NewNullLogger()
	}
	settings := options.Client().SetServerSelectionTimeout(openTimeout).SetConnectTimeout(openTimeout).SetAppName("ipcore").
		ApplyURI(cmp.Or(o.URI, DefaultURI))
	client, err := mongo.Connect(settings)
	if err != nil {
		return nil, err
	}
	s := &store{client: client, records: client.Database(cmp.Or(o.Database, DefaultDatabase)).Collection(collection), log: log}
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	if err := s.Ping(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("the server does not respond: %w; check that it is running and that its address is right", err), s.Close())
	}
	for _, field := range []string{"msg_id", "submitted", "completed"} {
		index := mongo.IndexModel{Keys: bson.D{{Key: field, Value: 1}}}
		if field == "msg_id" {
			index.Options = options.Index().SetUnique(true)
		}
		if _, err := s.records.Indexes().CreateOne(ctx, index); err != nil {
			return nil, errors.Join(fmt.Errorf("create the index of %s: %w", field, err), s.Close())
		}
	}
	return s, nil
}
