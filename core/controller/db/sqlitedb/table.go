package sqlitedb

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"github.com/ipcore/ipcore/core/controller/db"
)

// table is the table that is used. Its columns are db's fields in their order,
// all or those that version 7 of IPython Parallel knows.
type table struct {
	name   string // quoted
	fields db.Fields
	light  string // name of the index that holds the light fields, quoted
}

// columnTypes are the declarations that IPython Parallel compares.
var columnTypes = map[db.Kind]string{db.Text: "text", db.Time: "timestamp", db.Dict: "dict text", db.Blob: "bufs blob"}

// columnType is the declared type of a field's column.
func columnType(f db.Field) string {
	if f == db.ExecuteResult || f == db.ErrorField { // its columns of JSON text that it does not decode
		return "text"
	}
	return columnTypes[f.Kind()]
}

// Forms of the table: with and without labels.
var forms = []db.Fields{db.AllFields, db.AllFields &^ db.FieldSet(db.Label)}

// light are the fields that are short. An index holds them all, so that a query
// of them reads a small part of the file.
var light = db.FieldSet(db.MsgID, db.Submitted, db.ClientUUID, db.EngineUUID, db.Started, db.Completed, db.Resubmitted, db.Received,
	db.Queue, db.Label)

// quoted is a name as SQL takes it.
func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// openTable finds a table that has one of the forms, or makes one: under the
// name itself, or name_1, name_2, … where something else has the name.
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
		t := &table{name: quoted(candidate), light: quoted("ipcore light " + candidate)}
		for _, form := range forms {
			if strings.EqualFold(columns, declaration(form)) { // SQLite returns some types in capitals
				t.fields = form
			}
		}
		if columns == "" {
			t.fields = db.AllFields
			if _, err := conn.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+t.name+" ("+declaration(t.fields)+")"); err != nil {
				return nil, fmt.Errorf("make table %s: %w", t.name, err)
			}
		}
		if t.fields == 0 {
			continue
		}
		return t, t.index(ctx, conn, candidate)
	}
}

// declaration is the list of columns as a table is made with.
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

// columnsOf is an existing table's list of columns, "" when there is none.
func columnsOf(ctx context.Context, conn *sql.Conn, name string) (string, error) {
	rows, err := conn.QueryContext(ctx, "SELECT name, type, pk FROM pragma_table_info(?) ORDER BY cid", name)
	if err != nil {
		return "", fmt.Errorf("look at table %s: %w", quoted(name), err)
	}
	defer func() { _ = rows.Close() }()
	var list []string
	for rows.Next() {
		var column, kind string
		var key int
		if err := rows.Scan(&column, &kind, &key); err != nil {
			return "", fmt.Errorf("look at table %s: %w", quoted(name), err)
		}
		text := column + " " + kind
		if key > 0 {
			text += " PRIMARY KEY"
		}
		list = append(list, text)
	}
	if err := rows.Err(); err != nil {
		return "", fmt.Errorf("look at table %s: %w", quoted(name), err)
	}
	return strings.Join(list, ", "), nil
}

// index makes the indexes where they are missing. Other programs do not mind
// them.
func (t *table) index(ctx context.Context, conn *sql.Conn, name string) error {
	columns := []string{db.Submitted.Name()}
	for _, f := range (light & t.fields &^ db.FieldSet(db.Submitted)).List() {
		columns = append(columns, f.Name())
	}
	for _, statement := range []string{
		"CREATE INDEX IF NOT EXISTS " + t.light + " ON " + t.name + " (" + strings.Join(columns, ", ") + ")",
		"CREATE INDEX IF NOT EXISTS " + quoted("ipcore completed "+name) + " ON " + t.name + " (completed)",
	} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("index table %s: %w", t.name, err)
		}
	}
	return nil
}
