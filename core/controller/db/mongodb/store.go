package mongodb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ipcore/ipcore/core/controller/db"
	"github.com/ipcore/ipcore/core/controller/db/writer"
)

// store is the collection of records on the server.
type store struct {
	client  *mongo.Client
	records *mongo.Collection
	log     hclog.Logger

	failed *writer.Write // the first change of the batch that failed last
}

var _ writer.Store = (*store)(nil)

func (s *store) Name() string             { return "MongoDB" }
func (s *store) Precision() time.Duration { return time.Millisecond }
func (s *store) Local() bool              { return false }

// Ping checks that the server responds.
func (s *store) Ping(ctx context.Context) error { return s.client.Ping(ctx, nil) }

func (s *store) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return s.client.Disconnect(ctx)
}

// maxDocument is the largest document in bytes that a server accepts, less the size of
// the command around it.
const maxDocument = 16<<20 - 16<<10

// Write applies changes with one command each for removals, additions and updates. No
// record is in the batch twice.
func (s *store) Write(ctx context.Context, batch []*writer.Write) (refused []writer.Refusal, err error) {
	retry := s.failed == batch[0]
	s.failed = batch[0]
	var drops bson.A
	var adds, changes bulk
	for _, w := range batch {
		if w.Drop {
			drops = append(drops, w.ID)
		}
		model, err := model(w)
		switch {
		case err != nil:
			refused = append(refused, writer.Refusal{ID: w.ID, Err: err})
		case w.Record != nil:
			adds.add(w.ID, model)
		case w.Change != nil:
			changes.add(w.ID, model)
		}
	}
	if drops != nil {
		if _, err := s.records.DeleteMany(ctx, bson.D{{Key: "msg_id", Value: bson.D{{Key: "$in", Value: drops}}}}); err != nil {
			return nil, err
		}
	}
	for _, b := range []*bulk{&adds, &changes} {
		more, err := b.write(ctx, s.records)
		if err != nil {
			return nil, err
		}
		refused = append(refused, more...)
	}
	if retry { // records that exist were added by the previous attempt
		refused = slices.DeleteFunc(refused, func(r writer.Refusal) bool { return errors.Is(r.Err, writer.ErrExists) })
	}
	s.failed = nil
	return refused, nil
}

// model returns the server's form of an addition or update; nil for a removal.
func model(w *writer.Write) (mongo.WriteModel, error) {
	var document bson.D
	switch {
	case w.Record != nil:
		for _, f := range db.AllFields.List() {
			document = append(document, bson.E{Key: f.Name(), Value: value(w.Record, f)})
		}
	case w.Change != nil:
		for _, f := range (w.Change.Set &^ db.FieldSet(db.MsgID)).List() {
			document = append(document, bson.E{Key: f.Name(), Value: value(&w.Change.Record, f)})
		}
	default:
		return nil, nil
	}
	raw, err := bson.Marshal(document)
	if err != nil {
		return nil, err
	}
	if len(raw) > maxDocument {
		return nil, fmt.Errorf("%d bytes exceed the maximum size of a document", len(raw))
	}
	if w.Record != nil {
		return mongo.NewInsertOneModel().SetDocument(bson.Raw(raw)), nil
	}
	return mongo.NewUpdateOneModel().SetFilter(bson.D{{Key: "msg_id", Value: w.ID}}).
		SetUpdate(bson.D{{Key: "$set", Value: bson.Raw(raw)}}), nil
}

// bulk is a list of changes of one kind.
type bulk struct {
	ids    []string
	models []mongo.WriteModel
}

func (b *bulk) add(id string, m mongo.WriteModel) {
	b.ids = append(b.ids, id)
	b.models = append(b.models, m)
}

// serverErrorCodes are the codes of write errors that are not caused by the document:
// a full disk, a server that is stopping or read-only.
var serverErrorCodes = []int{14031, 91, 189, 10107, 11600, 11602, 13435, 13436}

func (b *bulk) write(ctx context.Context, c *mongo.Collection) (refused []writer.Refusal, err error) {
	if len(b.models) == 0 {
		return nil, nil
	}
	_, err = c.BulkWrite(ctx, b.models, options.BulkWrite().SetOrdered(false))
	var partly mongo.BulkWriteException
	if !errors.As(err, &partly) || partly.WriteConcernError != nil || len(partly.WriteErrors) == 0 {
		return nil, err
	}
	for _, e := range partly.WriteErrors {
		if slices.Contains(serverErrorCodes, e.Code) || e.Index < 0 || e.Index >= len(b.ids) {
			return nil, err
		}
		refusal := writer.Refusal{ID: b.ids[e.Index], Err: e}
		if mongo.IsDuplicateKeyError(e) {
			refusal.Err = writer.ErrExists
		}
		refused = append(refused, refusal)
	}
	return refused, nil
}

// loadAtOnce is how many records are looked up by one query.
const loadAtOnce = 1000

// Load returns records by id.
func (s *store) Load(ctx context.Context, ids []string, fields db.Fields) ([]*db.Record, error) {
	var found []*db.Record
	for chunk := range slices.Chunk(ids, loadAtOnce) {
		records, err := s.find(ctx, bson.D{{Key: "msg_id", Value: bson.D{{Key: "$in", Value: chunk}}}}, fields, nil)
		if err != nil {
			return nil, err
		}
		found = append(found, records...)
	}
	return found, nil
}

// Find returns the records that a query matches.
func (s *store) Find(ctx context.Context, q db.Query, fields db.Fields) ([]*db.Record, error) {
	return s.find(ctx, filter(q), fields|q.Fields(), q)
}

func (s *store) find(ctx context.Context, filter bson.D, fields db.Fields, q db.Query) ([]*db.Record, error) {
	projection := bson.D{{Key: "_id", Value: 0}}
	for _, f := range fields.List() {
		projection = append(projection, bson.E{Key: f.Name(), Value: 1})
	}
	cursor, err := s.records.Find(ctx, filter, options.Find().SetProjection(projection))
	if err != nil {
		return nil, err
	}
	defer func() { _ = cursor.Close(ctx) }()
	var found []*db.Record
	for cursor.Next(ctx) {
		r, err := s.record(cursor.Current)
		if err != nil {
			return nil, err
		}
		if r.MsgID != "" && q.Match(r) {
			found = append(found, r)
		}
	}
	return found, cursor.Err()
}

// record reads a document. Its bytes belong to the cursor and are copied.
func (s *store) record(document bson.Raw) (*db.Record, error) {
	elements, err := slices.Clone(document).Elements()
	if err != nil {
		return nil, err
	}
	r := &db.Record{}
	for _, e := range elements {
		f, known := db.FieldNamed(e.Key())
		if !known {
			continue
		}
		if err := setValue(r, f, e.Value()); err != nil {
			s.log.Warn("a stored field can't be read and is treated as null", "error", err)
		}
	}
	return r, nil
}
