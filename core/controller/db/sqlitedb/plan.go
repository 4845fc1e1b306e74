package sqlitedb

import (
	"strings"
	"time"

	"github.com/ipcore/ipcore/core/controller/db"
)

// filter is an SQL condition that is met by every record that a query matches, and
// perhaps by others.
type filter struct {
	terms []string
	args  []any
}

func (f *filter) add(term string, args ...any) {
	f.terms = append(f.terms, term)
	f.args = append(f.args, args...)
}

func (f *filter) where() string {
	if len(f.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(f.terms, " AND ")
}

// newFilter translates those conditions of a query that SQL can check. utc reports
// whether all stored times are in UTC.
func (t *table) newFilter(q db.Query, utc func() bool) filter {
	var f filter
	for i := range q {
		c := &q[i]
		field, known := c.Field()
		if !known || !(shortFields & t.fields).Has(field) {
			continue
		}
		column := field.Name()
		text, isText := c.Arg.(string)
		switch {
		case c.Op == db.Eq && c.Arg == nil, c.Op == db.Exists && c.Arg == false:
			if field.Kind() == db.Time {
				f.add(column + " IS NULL")
			}
		case c.Op == db.Ne && c.Arg == nil, c.Op == db.Exists && c.Arg == true:
			f.add(column + " IS NOT NULL")
		case c.Op == db.Eq && isText && field.Kind() == db.Text:
			f.add(column+" = ?", text)
		case field.Kind() == db.Time && !c.Date().IsZero():
			f.addTime(column, c.Op, c.Date(), utc)
		}
	}
	return f
}

// addTime compares a time as text, by whole seconds.
func (f *filter) addTime(column string, op db.Op, at time.Time, utc func() bool) {
	at = at.UTC()
	if at.Year() < 1 || at.Year() > 9998 || !utc() {
		return
	}
	const seconds = "2006-01-02T15:04:05"
	if op == db.Gt || op == db.Gte || op == db.Eq {
		f.add(column+" >= ?", at.Format(seconds))
	}
	if op == db.Lt || op == db.Lte || op == db.Eq {
		f.add(column+" < ?", at.Add(time.Second).Format(seconds))
	}
}

// ids returns the ids that a query names, if it does.
func ids(q db.Query) ([]string, bool) {
	for i := range q {
		c := &q[i]
		if field, known := c.Field(); !known || field != db.MsgID {
			continue
		}
		switch arg := c.Arg.(type) {
		case string:
			if c.Op == db.Eq {
				return []string{arg}, true
			}
		case []any:
			if c.Op == db.In {
				var list []string
				for _, v := range arg {
					if id, ok := v.(string); ok {
						list = append(list, id)
					}
				}
				return list, true
			}
		}
	}
	return nil, false
}
