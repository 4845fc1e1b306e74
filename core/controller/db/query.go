package db

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Op is a comparison of the query language.
type Op string

// The comparisons.
const (
	Eq     Op = "$eq"
	Ne     Op = "$ne"
	Lt     Op = "$lt"
	Lte    Op = "$lte"
	Gt     Op = "$gt"
	Gte    Op = "$gte"
	In     Op = "$in"
	Nin    Op = "$nin"
	All    Op = "$all"    // each element of the argument contains the value, or is contained in it
	Mod    Op = "$mod"    // [d, r]: value modulo d is r, with the sign of d as in Python
	Exists Op = "$exists" // true: not null; false: null
	Glob   Op = "$glob"   // a pattern of * ? [seq] [!seq]; null never matches
)

// Query is a list of conditions that must all hold. An empty query matches
// every record.
type Query []Condition

// Condition compares one field. Null equals only null, and is neither before nor
// after any value.
type Condition struct {
	Name string // the field's name; an unknown field is null
	Op   Op
	Arg  any // nil, bool, float64, string, []any or map[string]any

	field Field
	known bool
	date  time.Time   // Arg, if it is a date
	dates []time.Time // the dates among the elements of Arg
}

// ParseQuery reads a query: a dictionary from field names to a literal, which the
// field must equal, or to a dictionary of operators. Strings that are ISO dates are
// compared as points in time with fields of kind Time. The error is of kind ErrQuery.
func ParseQuery(text []byte) (Query, error) {
	var dict map[string]json.RawMessage
	if err := json.Unmarshal(text, &dict); err != nil {
		return nil, queryError("TypeError", "a query must be a dictionary from field names to values or operators")
	}
	var q Query
	for _, name := range slices.Sorted(maps.Keys(dict)) {
		if strings.HasPrefix(name, "$") {
			return nil, queryError("KeyError", quote(name))
		}
		conditions, err := parseConditions(name, dict[name])
		if err != nil {
			return nil, err
		}
		q = append(q, conditions...)
	}
	return q, nil
}

func queryError(ename, evalue string) error {
	return &Error{Ename: ename, Evalue: evalue, Kind: ErrQuery}
}

func parseConditions(name string, text json.RawMessage) ([]Condition, error) {
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		return nil, queryError("ValueError", fmt.Sprintf("query of %s: %v", quote(name), err))
	}
	operators, ok := value.(map[string]any)
	if !ok || !hasOperator(operators) {
		c, err := NewCondition(name, Eq, value)
		return []Condition{c}, err
	}
	var list []Condition
	for _, op := range slices.Sorted(maps.Keys(operators)) {
		c, err := NewCondition(name, Op(op), operators[op])
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

// hasOperator reports whether a dictionary contains operators, so that it is not a
// literal.
func hasOperator(dict map[string]any) bool {
	for key := range dict {
		if strings.HasPrefix(key, "$") {
			return true
		}
	}
	return false
}

// NewCondition returns a condition. It checks that the argument is valid for op and
// the field; the error is of kind ErrQuery.
func NewCondition(name string, op Op, arg any) (Condition, error) {
	c := Condition{Name: name, Op: op, Arg: arg}
	c.field, c.known = FieldNamed(name)
	var err error
	switch op {
	case Eq, Ne:
	case Lt, Lte, Gt, Gte:
		err = c.checkOrder()
	case In, Nin, All:
		if _, ok := arg.([]any); !ok {
			err = queryError("TypeError", fmt.Sprintf("%s of %s needs a list", op, quote(name)))
		}
	case Mod:
		err = c.checkMod()
	case Exists:
		if _, ok := arg.(bool); !ok {
			err = queryError("TypeError", fmt.Sprintf("%s of %s needs true or false", op, quote(name)))
		}
	case Glob:
		if _, ok := arg.(string); !ok {
			err = queryError("TypeError", fmt.Sprintf("%s of %s needs a pattern", op, quote(name)))
		}
	default:
		return c, queryError("KeyError", quote(string(op)))
	}
	if err != nil {
		return c, err
	}
	c.prepare()
	return c, nil
}

// Must is NewCondition for conditions that are constant; it panics on an error.
func Must(name string, op Op, arg any) Condition {
	c, err := NewCondition(name, op, arg)
	if err != nil {
		panic(err)
	}
	return c
}

// prepare finds the dates in the argument.
func (c *Condition) prepare() {
	switch arg := c.Arg.(type) {
	case string:
		c.date, _ = parseTime(arg)
	case []any:
		for _, v := range arg {
			if s, ok := v.(string); ok {
				if t, ok := parseTime(s); ok {
					c.dates = append(c.dates, t)
				}
			}
		}
	}
}

func (c *Condition) checkOrder() error {
	symbol := map[Op]string{Lt: "<", Lte: "<=", Gt: ">", Gte: ">="}[c.Op]
	mismatch := func(field string) error {
		return queryError("TypeError", fmt.Sprintf("'%s' not supported between instances of '%s' and '%s' (field %s)",
			symbol, field, pythonType(c.Arg), quote(c.Name)))
	}
	if !c.known {
		if c.Arg == nil {
			return mismatch("NoneType")
		}
		return nil
	}
	text, isText := c.Arg.(string)
	switch c.field.Kind() {
	case Time:
		if _, ok := parseTime(text); !ok {
			return mismatch("datetime.datetime")
		}
	case Text:
		if !isText {
			return mismatch("str")
		}
	case Dict:
		return mismatch("dict")
	case Blob:
		return mismatch("list")
	}
	return nil
}

func (c *Condition) checkMod() error {
	pair, ok := c.Arg.([]any)
	if ok && len(pair) == 2 {
		d, isNumber := pair[0].(float64)
		_, isNumber2 := pair[1].(float64)
		if isNumber && isNumber2 && d != 0 {
			return nil
		}
	}
	return queryError("ValueError", fmt.Sprintf("$mod of %s needs [divisor, remainder], the divisor not 0", quote(c.Name)))
}

// pythonType returns the name of the type that Python decodes a JSON value to.
func pythonType(v any) string {
	switch v.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case float64:
		return "float"
	case string:
		return "str"
	case []any:
		return "list"
	}
	return "dict"
}

// timeLayouts are the ISO dates of the protocol; Go's parser takes a fraction
// of any length after the seconds.
var timeLayouts = []string{"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05"}

// parseTime reads an ISO date; one without an offset is local time.
func parseTime(s string) (time.Time, bool) {
	if len(s) < len("2006-01-02T15:04:05") || s[4] != '-' || s[10] != 'T' {
		return time.Time{}, false
	}
	for _, layout := range timeLayouts {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// Field returns the field that is compared, and whether it is known.
func (c *Condition) Field() (Field, bool) { return c.field, c.known }

// Date returns the argument as a date, or the zero time.
func (c *Condition) Date() time.Time { return c.date }

// Fields returns the fields that the query compares.
func (q Query) Fields() Fields {
	var s Fields
	for i := range q {
		if q[i].known {
			s |= FieldSet(q[i].field)
		}
	}
	return s
}

// Match reports whether a record meets all conditions.
func (q Query) Match(r *Record) bool {
	for i := range q {
		if !q[i].match(r) {
			return false
		}
	}
	return true
}

func (c *Condition) match(r *Record) bool {
	if c.known {
		switch c.field.Kind() {
		case Time:
			return c.matchTime(r.Time(c.field))
		case Text:
			if s, ok := r.Text(c.field); ok {
				return c.matchText(s)
			}
			return c.matchValue(nil)
		}
		return c.matchValue(r.Value(c.field))
	}
	return c.matchValue(nil)
}

// matchText is match for a string, without converting it to any.
func (c *Condition) matchText(s string) bool {
	arg, ok := c.Arg.(string)
	switch c.Op {
	case Eq:
		return ok && s == arg
	case Ne:
		return !ok || s != arg
	case Lt, Lte, Gt, Gte:
		return ok && ordered(c.Op, strings.Compare(s, arg))
	case Glob:
		return matchGlob(arg, s)
	case Exists:
		return c.Arg.(bool)
	}
	return c.matchValue(s)
}

// matchValue is match for a decoded value.
func (c *Condition) matchValue(v any) bool {
	switch c.Op {
	case Eq:
		return equal(v, c.Arg)
	case Ne:
		return !equal(v, c.Arg)
	case Lt, Lte, Gt, Gte:
		a, ok := v.(string)
		b, ok2 := c.Arg.(string)
		return ok && ok2 && ordered(c.Op, strings.Compare(a, b))
	case In:
		return slices.ContainsFunc(c.Arg.([]any), func(e any) bool { return equal(v, e) })
	case Nin:
		return !slices.ContainsFunc(c.Arg.([]any), func(e any) bool { return equal(v, e) })
	case All:
		return v != nil && !slices.ContainsFunc(c.Arg.([]any), func(e any) bool { return !related(v, e) })
	case Mod:
		return c.mod(v)
	case Exists:
		return (v != nil) == c.Arg.(bool)
	case Glob:
		s, ok := v.(string)
		return ok && matchGlob(c.Arg.(string), s)
	}
	return false
}

// matchTime is match for a point in time; zero is null.
func (c *Condition) matchTime(t time.Time) bool {
	null := t.IsZero()
	switch c.Op {
	case Eq:
		return c.equalTime(t)
	case Ne:
		return !c.equalTime(t)
	case Lt, Lte, Gt, Gte:
		return !null && ordered(c.Op, t.Compare(c.date))
	case In:
		return c.containsTime(t)
	case Nin:
		return !c.containsTime(t)
	case All:
		return !null && len(c.dates) == len(c.Arg.([]any)) && !slices.ContainsFunc(c.dates, func(d time.Time) bool { return !d.Equal(t) })
	case Exists:
		return null != c.Arg.(bool)
	case Glob:
		return !null && matchGlob(c.Arg.(string), t.UTC().Format(timeLayout))
	}
	return false
}

func (c *Condition) equalTime(t time.Time) bool {
	if t.IsZero() {
		return c.Arg == nil
	}
	return !c.date.IsZero() && t.Equal(c.date)
}

func (c *Condition) containsTime(t time.Time) bool {
	if t.IsZero() {
		return slices.Contains(c.Arg.([]any), nil)
	}
	return slices.ContainsFunc(c.dates, t.Equal)
}

func ordered(op Op, comparison int) bool {
	switch op {
	case Lt:
		return comparison < 0
	case Lte:
		return comparison <= 0
	case Gt:
		return comparison > 0
	}
	return comparison >= 0
}

// equal compares two decoded values; dates in them are compared as strings.
func equal(a, b any) bool {
	switch a := a.(type) {
	case nil:
		return b == nil
	case string:
		s, ok := b.(string)
		return ok && s == a
	}
	return reflect.DeepEqual(a, b)
}

// related reports whether $all accepts the value for one element: the element is a
// list or a string that contains the value, or the value is a list that contains the
// element.
func related(v, element any) bool {
	if equal(v, element) {
		return true
	}
	if list, ok := element.([]any); ok && slices.ContainsFunc(list, func(e any) bool { return equal(v, e) }) {
		return true
	}
	if list, ok := v.([]any); ok {
		return slices.ContainsFunc(list, func(e any) bool { return equal(e, element) })
	}
	s, ok := v.(string)
	whole, ok2 := element.(string)
	return ok && ok2 && strings.Contains(whole, s)
}

func (c *Condition) mod(v any) bool {
	number, ok := v.(float64)
	if !ok {
		return false
	}
	pair := c.Arg.([]any)
	return floorMod(number, pair[0].(float64)) == pair[1].(float64)
}
