package sqlitedb

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ipcore/ipcore/core/controller/db"
)

// timeLayout is how times are stored: in UTC with its offset, in microseconds.
const timeLayout = "2006-01-02T15:04:05.000000-07:00"

// value returns a field as it is stored; nil is NULL.
func value(r *db.Record, f db.Field) any {
	switch f.Kind() {
	case db.Text:
		if s, ok := r.Text(f); ok {
			return strings.ToValidUTF8(s, "\ufffd")
		}
	case db.Time:
		if t := r.Time(f); !t.IsZero() {
			return t.UTC().Format(timeLayout)
		}
	case db.Dict:
		if text := r.Dict(f); text != nil {
			return dict(text, f)
		}
	case db.Blob:
		if list := r.Blobs(f); len(list) > 0 {
			return appendPickle(make([]byte, 0, pickledSize(list)), list)
		}
	}
	return nil
}

// dict returns a dictionary's text. Text that other programs could not read, which only
// a faulty peer sends, becomes null, or an empty dictionary for a header: a null header
// would make the record a stub.
func dict(text []byte, f db.Field) any {
	if utf8.Valid(text) && json.Valid(text) {
		return string(text)
	}
	if f == db.Header {
		return "{}"
	}
	return nil
}

// setValue sets a field from its stored value.
func setValue(r *db.Record, f db.Field, stored any) error {
	var text string
	switch v := stored.(type) {
	case nil:
		return nil
	case string:
		text = v
	case []byte:
		text = string(v)
	default:
		text = fmt.Sprint(v)
	}
	switch f.Kind() {
	case db.Text:
		r.SetText(f, text)
	case db.Time:
		t, err := parseTime(text)
		if err != nil {
			return fmt.Errorf("%s of %s: %w", f.Name(), r.MsgID, err)
		}
		r.SetTime(f, t)
	case db.Dict:
		r.SetDict(f, []byte(text))
	case db.Blob:
		blob, ok := stored.([]byte)
		if !ok {
			blob = []byte(text)
		}
		list, err := parsePickle(blob)
		if err != nil {
			return fmt.Errorf("%s of %s: %w", f.Name(), r.MsgID, err)
		}
		if len(list) > 0 {
			r.SetBlobs(f, list)
		}
	}
	return nil
}

// parseTime reads a stored time: ISO, with T or a space. A time without an offset is
// in UTC.
func parseTime(text string) (time.Time, error) {
	var err error
	for _, layout := range []string{"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05"} {
		var t time.Time
		if t, err = time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, err
}
