package sqlitedb

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/ipcore/ipcore/core/controller/db"
	"github.com/ipcore/ipcore/core/controller/db/writer"
)

// store is the database file. It has one connection for writing and one for reading.
type store struct {
	table *table
	log   hclog.Logger
	write *connection
	read  *connection

	zoneKnown bool // utc is set; used by the reading goroutine only
	utc       bool // all stored times are in UTC
}

var _ writer.Store = (*store)(nil)

func (s *store) Name() string             { return "SQLiteDB" }
func (s *store) Precision() time.Duration { return time.Microsecond }
func (s *store) Local() bool              { return true }

func (s *store) Close() error { return errors.Join(s.read.close(), s.write.close()) }

// Ping checks that the table can be read.
func (s *store) Ping(ctx context.Context) error {
	var n int
	return s.write.conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM "+s.table.name+")").Scan(&n)
}

// Write applies changes in one transaction.
func (s *store) Write(ctx context.Context, batch []*writer.Write) (refused []writer.Refusal, err error) {
	if _, err := s.write.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return nil, err
	}
	refused, err = s.applyAll(ctx, batch)
	if err == nil {
		_, err = s.write.conn.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		// A full disk may have ended the transaction already.
		_, _ = s.write.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		return nil, err
	}
	return refused, nil
}

func (s *store) applyAll(ctx context.Context, batch []*writer.Write) (refused []writer.Refusal, err error) {
	for _, w := range batch {
		if err := s.apply(ctx, w); err != nil {
			if !isRecordError(err) {
				return nil, err
			}
			refused = append(refused, writer.Refusal{ID: w.ID, Err: err})
		}
	}
	return refused, nil
}

// isRecordError reports whether an error is caused by the record itself, so that a
// retry can't succeed.
func isRecordError(err error) bool {
	if errors.Is(err, writer.ErrExists) {
		return true
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH:
		return true
	}
	return false
}

func (s *store) apply(ctx context.Context, w *writer.Write) error {
	if w.Drop {
		if _, err := s.exec(ctx, "DELETE FROM "+s.table.name+" WHERE msg_id = ?", w.ID); err != nil {
			return err
		}
	}
	switch {
	case w.Record != nil:
		fields := s.table.fields.List()
		args := make([]any, len(fields))
		for i, f := range fields {
			args[i] = value(w.Record, f)
		}
		text := "INSERT INTO " + s.table.name + " VALUES (?" + strings.Repeat(", ?", len(fields)-1) + ") ON CONFLICT (msg_id) DO NOTHING"
		n, err := s.exec(ctx, text, args...)
		if err == nil && n == 0 {
			err = writer.ErrExists
		}
		return err
	case w.Change != nil:
		var set []string
		var args []any
		for _, f := range (w.Change.Set & s.table.fields &^ db.FieldSet(db.MsgID)).List() {
			set = append(set, f.Name()+" = ?")
			args = append(args, value(&w.Change.Record, f))
		}
		if set == nil {
			return nil
		}
		_, err := s.exec(ctx, "UPDATE "+s.table.name+" SET "+strings.Join(set, ", ")+" WHERE msg_id = ?", append(args, w.ID)...)
		return err
	}
	return nil
}

func (s *store) exec(ctx context.Context, text string, args ...any) (int64, error) {
	statement, err := s.write.prepare(ctx, text)
	if err != nil {
		return 0, err
	}
	result, err := statement.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// loadAtOnce is how many records are looked up by one statement.
const loadAtOnce = 200

// Load returns records by id.
func (s *store) Load(ctx context.Context, ids []string, fields db.Fields) ([]*db.Record, error) {
	var found []*db.Record
	for chunk := range slices.Chunk(ids, loadAtOnce) {
		args := make([]any, len(chunk))
		for i, id := range chunk {
			args[i] = id
		}
		where := " WHERE msg_id IN (?" + strings.Repeat(", ?", len(chunk)-1) + ")"
		err := s.rows(ctx, fields, where, args, func(r *row) { found = append(found, r.record) })
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// Find returns the records that a query matches.
func (s *store) Find(ctx context.Context, q db.Query, fields db.Fields) ([]*db.Record, error) {
	if ids, ok := ids(q); ok {
		slices.Sort(ids)
		found, err := s.Load(ctx, slices.Compact(ids), fields|q.Fields())
		return slices.DeleteFunc(found, func(r *db.Record) bool { return !q.Match(r) }), err
	}
	filter := s.table.newFilter(q, func() bool { return s.allUTC(ctx) })
	// If the query compares short fields only, an index finds the matching rows, and
	// only those are read in full.
	first := fields | q.Fields()
	small := shortFields | db.AllFields&^s.table.fields
	twice := q.Fields()&^small == 0 && fields&^small != 0 && len(q) > 0
	if twice {
		first = q.Fields() | db.FieldSet(db.MsgID)
	}
	var found []*row
	err := s.rows(ctx, first, filter.where(), filter.args, func(r *row) {
		if q.Match(r.record) {
			found = append(found, r)
		}
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b *row) int { return cmp.Compare(a.id, b.id) })
	if twice {
		if found, err = s.readInFull(ctx, found, fields); err != nil {
			return nil, err
		}
	}
	records := make([]*db.Record, len(found))
	for i, r := range found {
		records[i] = r.record
	}
	return records, nil
}

// readInFull reads the given fields of rows.
func (s *store) readInFull(ctx context.Context, rows []*row, fields db.Fields) ([]*row, error) {
	var full []*row
	for chunk := range slices.Chunk(rows, loadAtOnce) {
		args := make([]any, len(chunk))
		for i, r := range chunk {
			args[i] = r.id
		}
		where := " WHERE rowid IN (?" + strings.Repeat(", ?", len(chunk)-1) + ")"
		if err := s.rows(ctx, fields, where, args, func(r *row) { full = append(full, r) }); err != nil {
			return nil, err
		}
	}
	return full, nil
}

// allUTC reports whether all times in the file are in UTC and can be compared as text.
// Those that this package writes are.
func (s *store) allUTC(ctx context.Context) bool {
	if s.zoneKnown {
		return s.utc
	}
	var other bool
	err := s.read.conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM "+s.table.name+" INDEXED BY "+s.table.shortIndex+
		" WHERE submitted NOT GLOB '*T*+00:00' OR completed NOT GLOB '*T*+00:00' OR started NOT GLOB '*T*+00:00'"+
		" OR received NOT GLOB '*T*+00:00')").Scan(&other)
	if err != nil {
		return false
	}
	s.zoneKnown, s.utc = true, !other
	return s.utc
}

// row is a record and its row id.
type row struct {
	id     int64
	record *db.Record
}

// rows reads fields of the rows that a WHERE clause selects.
func (s *store) rows(ctx context.Context, fields db.Fields, where string, args []any, yield func(*row)) error {
	list := (fields & s.table.fields).List()
	var text strings.Builder
	text.WriteString("SELECT rowid")
	for _, f := range list {
		text.WriteString(", ")
		if f.Kind() == db.Time { // the sign hides the column's type from the driver, which would parse it
			text.WriteByte('+')
		}
		text.WriteString(f.Name())
	}
	text.WriteString(" FROM " + s.table.name + where)
	query := s.read.conn.QueryContext
	if len(args) <= 1 { // the frequent statements
		statement, err := s.read.prepare(ctx, text.String())
		if err != nil {
			return err
		}
		query = func(ctx context.Context, _ string, args ...any) (*sql.Rows, error) {
			return statement.QueryContext(ctx, args...)
		}
	}
	rows, err := query(ctx, text.String(), args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	values := make([]any, len(list)+1)
	targets := make([]any, len(values))
	for i := range values {
		targets[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		r := &row{record: &db.Record{}}
		id, ok := values[0].(int64)
		if !ok {
			return fmt.Errorf("row id %v is not a number", values[0])
		}
		r.id = id
		for i, f := range list {
			if err := setValue(r.record, f, values[i+1]); err != nil {
				s.log.Warn("a stored field can't be read and is treated as null", "error", err)
			}
		}
		yield(r)
	}
	return rows.Err()
}
