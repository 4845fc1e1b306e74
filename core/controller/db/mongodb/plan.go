package mongodb

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/ipcore/ipcore/core/controller/db"
)

// filter returns a condition for the server that is met by every record that a query
// matches, and perhaps by others.
func filter(q db.Query) bson.D {
	var terms bson.A
	for i := range q {
		c := &q[i]
		field, known := c.Field()
		if !known || db.OutputFields.Has(field) {
			continue
		}
		if test := condition(c, field.Kind()); test != nil {
			terms = append(terms, bson.D{{Key: field.Name(), Value: test}})
		}
	}
	if terms == nil {
		return bson.D{}
	}
	return bson.D{{Key: "$and", Value: terms}}
}

// condition returns the server's test of a field; nil if the server can't check the
// condition.
func condition(c *db.Condition, kind db.Kind) bson.D {
	test := func(operator string, arg any) bson.D { return bson.D{{Key: operator, Value: arg}} }
	switch {
	case c.Op == db.Eq && c.Arg == nil, c.Op == db.Exists && c.Arg == false:
		if kind == db.Text || kind == db.Time {
			return test("$eq", nil)
		}
	case c.Op == db.Ne && c.Arg == nil, c.Op == db.Exists && c.Arg == true:
		return test("$ne", nil)
	case kind == db.Time && !c.Date().IsZero():
		at := c.Date().Truncate(time.Millisecond)
		switch c.Op {
		case db.Gt, db.Gte:
			return test("$gte", at)
		case db.Lt, db.Lte:
			return test("$lte", at)
		case db.Eq:
			return test("$eq", at)
		}
	case kind == db.Text:
		return textCondition(c, test)
	}
	return nil
}

func textCondition(c *db.Condition, test func(string, any) bson.D) bson.D {
	switch arg := c.Arg.(type) {
	case string:
		if !utf8.ValidString(arg) {
			return nil
		}
		switch c.Op {
		case db.Eq, db.Lt, db.Lte, db.Gt, db.Gte:
			return test(string(c.Op), arg)
		case db.Glob:
			return test("$regex", regex(arg))
		}
	case []any:
		if c.Op != db.In {
			return nil
		}
		list := bson.A{}
		for _, v := range arg {
			if s, ok := v.(string); v != nil && (!ok || !utf8.ValidString(s)) {
				continue // not equal to any string
			}
			list = append(list, v)
		}
		return test("$in", list)
	}
	return nil
}

// regex translates a pattern of $glob into a regular expression.
func regex(glob string) string {
	var b strings.Builder
	b.WriteString("(?s)^")
	runes := []rune(glob)
	for i := 0; i < len(runes); i++ {
		switch runes[i] {
		case '*':
			b.WriteString(".*")
		case '?':
			b.WriteByte('.')
		case '[':
			end := setEnd(runes, i)
			if end < 0 {
				writeRune(&b, '[')
				continue
			}
			writeSet(&b, runes[i+1:end])
			i = end
		default:
			writeRune(&b, runes[i])
		}
	}
	b.WriteByte('$')
	return b.String()
}

// setEnd returns the position of the ] of the set that begins at i, or -1 if the [
// stands for itself.
func setEnd(runes []rune, i int) int {
	i++
	if i < len(runes) && runes[i] == '!' {
		i++
	}
	if i < len(runes) && runes[i] == ']' {
		i++
	}
	for ; i < len(runes); i++ {
		if runes[i] == ']' {
			return i
		}
	}
	return -1
}

// writeSet writes a set of characters and ranges. Empty ranges are omitted; an empty
// set matches no character, or any character if negated.
func writeSet(b *strings.Builder, set []rune) {
	not := set[0] == '!'
	if not {
		set = set[1:]
	}
	var inside strings.Builder
	for i := 0; i < len(set); i++ {
		if i+2 < len(set) && set[i+1] == '-' {
			if set[i] <= set[i+2] {
				writeRune(&inside, set[i])
				inside.WriteByte('-')
				writeRune(&inside, set[i+2])
			}
			i += 2
			continue
		}
		writeRune(&inside, set[i])
	}
	switch {
	case inside.Len() == 0 && not:
		b.WriteByte('.')
	case inside.Len() == 0:
		b.WriteString(`[^\x{0}-\x{10ffff}]`)
	case not:
		b.WriteString("[^" + inside.String() + "]")
	default:
		b.WriteString("[" + inside.String() + "]")
	}
}

// writeRune writes a character that stands for itself.
func writeRune(b *strings.Builder, r rune) {
	if r < utf8.RuneSelf && (r == '_' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z') || r > utf8.RuneSelf {
		b.WriteRune(r)
		return
	}
	fmt.Fprintf(b, `\x{%x}`, r)
}
