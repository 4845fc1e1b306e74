package sqlitedb

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"github.com/ipcore/ipcore/core/controller/db"
)

// table is the table in use. Its columns are the fields of package db in their order:
// all of them, or those that version 7 of IPython Parallel has.
type table struct {
	name       string // quoted
	fields     db.Fields
	shortIndex string // name of the index of all short fields, quoted
}

// columnTypes are the declared types. IPython Parallel compares them.
var columnTypes = map[db.Kind]string{db.Text: "text", db.Time: "timestamp", db.Dict: "dict text", db.Blob: "bufs blob"}

// columnType returns the declared type of a field's column.
func columnType(f db.Field) string {
	if f == db.ExecuteResult || f == db.ErrorField { // IPython Parallel does not decode the JSON text of these
		return "text"
	}
	return columnTypes[f.Kind()]
}

// layouts are the sets of columns that a table may have: with and without labels.
var layouts = []db.Fields{db.AllFields, db.AllFields &^ db.FieldSet(db.Label)}

// shortFields are the fields with short values. One index contains them all, so that a
// query on them reads a small part of the file.
var shortFields = db.FieldSet(db.MsgID, db.Submitted, db.ClientUUID, db.EngineUUID, db.Started, db.Completed, db.Resubmitted, db.Received,
	db.Queue, db.Label)

// quoted returns a name quoted for SQL.
func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// openTable finds a table with one of the layouts, or creates one. Its name is name, or
// name_1, name_2, … if a table with another layout has the name.
func openTable(ctx context.Context, conn *sql.Conn, name string) (*table, error) {
	for i := 0; ; i++ {
		candidate := name
		if i > 0 {
			candidate += "_" + strconv.Itoa(i)
		}
		columns, err := columnsOf(ctx, conn, candidate)
		if err != nil {
			return nil, err
		}
		t := &table{name: quoted(candidate), shortIndex: quoted("ipcore light " + candidate)}
		for _, layout := range layouts {
			if strings.EqualFold(columns, declaration(layout)) { // SQLite returns some types in capitals
				t.fields = layout
			}
		}
		if columns == "" {
			t.fields = db.AllFields
			if _, err := conn.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+t.name+" ("+declaration(t.fields)+")"); err != nil {
				return nil, fmt.Errorf("create table %s: %w", t.name, err)
			}
		}
		if t.fields == 0 {
			continue
		}
		return t, t.index(ctx, conn, candidate)
	}
}

// declaration returns the list of columns for CREATE TABLE.
func declaration(fields db.Fields) string {
	var b strings.Builder
	for i, f := range fields.List() {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(f.Name() + " " + columnType(f))
		if f == db.MsgID {
			b.WriteString(" PRIMARY KEY")
		}
	}
	return b.String()
}

// columnsOf returns the list of columns of a table, "" if the table does not exist.
func columnsOf(ctx context.Context, conn *sql.Conn, name string) (string, error) {
	rows, err := conn.QueryContext(ctx, "SELECT name, type, pk FROM pragma_table_info(?) ORDER BY cid", name)
	if err != nil {
		return "", fmt.Errorf("read the columns of table %s: %w", quoted(name), err)
	}
	defer func() { _ = rows.Close() }()
	var list []string
	for rows.Next() {
		var column, kind string
		var key int
		if err := rows.Scan(&column, &kind, &key); err != nil {
			return "", fmt.Errorf("read the columns of table %s: %w", quoted(name), err)
		}
		text := column + " " + kind
		if key > 0 {
			text += " PRIMARY KEY"
		}
		list = append(list, text)
	}
	if err := rows.Err(); err != nil {
		return "", fmt.Errorf("read the columns of table %s: %w", quoted(name), err)
	}
	return strings.Join(list, ", "), nil
}

// index creates missing indexes. They do not affect other programs.
func (t *table) index(ctx context.Context, conn *sql.Conn, name string) error {
	columns := []string{db.Submitted.Name()}
	for _, f := range (shortFields & t.fields &^ db.FieldSet(db.Submitted)).List() {
		columns = append(columns, f.Name())
	}
	for _, statement := range []string{
		"CREATE INDEX IF NOT EXISTS " + t.shortIndex + " ON " + t.name + " (" + strings.Join(columns, ", ") + ")",
		"CREATE INDEX IF NOT EXISTS " + quoted("ipcore completed "+name) + " ON " + t.name + " (completed)",
	} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("index table %s: %w", t.name, err)
		}
	}
	return nil
}
