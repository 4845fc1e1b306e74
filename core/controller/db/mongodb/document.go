package mongodb

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/ipcore/ipcore/core/controller/db"
)

// value returns a field as it is stored; nil is null.
func value(r *db.Record, f db.Field) any {
	switch f.Kind() {
	case db.Text:
		if s, ok := r.Text(f); ok {
			return strings.ToValidUTF8(s, "\ufffd")
		}
	case db.Time:
		if t := r.Time(f); !t.IsZero() {
			return t
		}
	case db.Dict:
		if text := r.Dict(f); text != nil {
			return dict(text)
		}
	case db.Blob:
		if list := r.Blobs(f); list != nil {
			return list
		}
	}
	return nil
}

// dict returns a dictionary as a document. A dictionary that documents can't express,
// because of its keys, numbers or depth, is stored as its JSON text.
func dict(text []byte) any {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if v, err := decode(decoder, 0); err == nil && !decoder.More() {
		return v
	}
	return strings.ToValidUTF8(string(text), "\ufffd")
}

// maxDepth is how deep documents may be nested; MongoDB's limit is 100.
const maxDepth = 80

// decode reads one value. Dictionaries keep their order.
func decode(d *json.Decoder, depth int) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case json.Number:
		return number(t)
	case json.Delim:
		if depth == maxDepth {
			return nil, fmt.Errorf("nested more than %d levels deep", maxDepth)
		}
		if t == '[' {
			return decodeList(d, depth+1)
		}
		return decodeDict(d, depth+1)
	}
	return token, nil
}

func decodeList(d *json.Decoder, depth int) (any, error) {
	list := bson.A{}
	for d.More() {
		v, err := decode(d, depth)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := d.Token()
	return list, err
}

func decodeDict(d *json.Decoder, depth int) (any, error) {
	document := bson.D{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, _ := token.(string)
		if key == "" || strings.ContainsAny(key, ".\x00") || key[0] == '$' {
			return nil, fmt.Errorf("%q is not allowed as the key of a document", key)
		}
		v, err := decode(d, depth)
		if err != nil {
			return nil, err
		}
		document = append(document, bson.E{Key: key, Value: v})
	}
	_, err := d.Token()
	return document, err
}

// number distinguishes integers from floats, as Python does.
func number(n json.Number) (any, error) {
	if i, err := n.Int64(); err == nil {
		if i >= math.MinInt32 && i <= math.MaxInt32 {
			return int32(i), nil
		}
		return i, nil
	}
	if !strings.ContainsAny(n.String(), ".eE") {
		return nil, fmt.Errorf("%s does not fit into 64 bits", n)
	}
	return n.Float64()
}

// setValue sets a field from its stored value.
func setValue(r *db.Record, f db.Field, v bson.RawValue) error {
	if v.Type == bson.TypeNull || v.Type == bson.TypeUndefined {
		return nil
	}
	wrong := fmt.Errorf("%s of %s is stored as %s", f.Name(), r.MsgID, v.Type)
	switch f.Kind() {
	case db.Text:
		s, ok := v.StringValueOK()
		if !ok {
			return wrong
		}
		r.SetText(f, s)
	case db.Time:
		ms, ok := v.DateTimeOK()
		if !ok {
			return wrong
		}
		r.SetTime(f, time.UnixMilli(ms).UTC())
	case db.Dict:
		if s, ok := v.StringValueOK(); ok {
			r.SetDict(f, []byte(s))
			return nil
		}
		text, err := appendJSON(nil, v)
		if err != nil {
			return fmt.Errorf("%s of %s: %w", f.Name(), r.MsgID, err)
		}
		r.SetDict(f, text)
	case db.Blob:
		array, ok := v.ArrayOK()
		if !ok {
			return wrong
		}
		elements, err := array.Values()
		if err != nil {
			return fmt.Errorf("%s of %s: %w", f.Name(), r.MsgID, err)
		}
		list := make([][]byte, len(elements))
		for i, e := range elements {
			if _, list[i], ok = e.BinaryOK(); !ok {
				return wrong
			}
		}
		if len(list) > 0 {
			r.SetBlobs(f, list)
		}
	}
	return nil
}

// appendJSON appends a stored value as JSON text. Dates, which IPython Parallel stores
// in headers, become strings again.
func appendJSON(dst []byte, v bson.RawValue) ([]byte, error) {
	switch v.Type {
	case bson.TypeEmbeddedDocument:
		return appendElements(dst, '{', '}', bson.Raw(v.Value))
	case bson.TypeArray:
		return appendElements(dst, '[', ']', bson.Raw(v.Value))
	case bson.TypeNull, bson.TypeUndefined:
		return append(dst, "null"...), nil
	case bson.TypeDateTime:
		return appendText(dst, time.UnixMilli(v.DateTime()).UTC().Format("2006-01-02T15:04:05.000000Z"))
	case bson.TypeBinary:
		_, b := v.Binary()
		return appendText(dst, base64.StdEncoding.EncodeToString(b))
	case bson.TypeString:
		return appendText(dst, v.StringValue())
	case bson.TypeBoolean:
		return strconv.AppendBool(dst, v.Boolean()), nil
	case bson.TypeInt32:
		return strconv.AppendInt(dst, int64(v.Int32()), 10), nil
	case bson.TypeInt64:
		return strconv.AppendInt(dst, v.Int64(), 10), nil
	case bson.TypeDouble:
		return appendFloat(dst, v.Double()), nil
	}
	return nil, fmt.Errorf("it contains a %s, which JSON can't express", v.Type)
}

func appendElements(dst []byte, open, end byte, raw bson.Raw) ([]byte, error) {
	elements, err := raw.Elements()
	if err != nil {
		return nil, err
	}
	dst = append(dst, open)
	for i, e := range elements {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		if open == '{' {
			if dst, err = appendText(dst, e.Key()); err != nil {
				return nil, err
			}
			dst = append(dst, ": "...)
		}
		if dst, err = appendJSON(dst, e.Value()); err != nil {
			return nil, err
		}
	}
	return append(dst, end), nil
}

func appendText(dst []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\ufffd")
	}
	text, err := json.Marshal(s)
	return append(dst, text...), err
}

// appendFloat writes a float so that it is read back as a float.
func appendFloat(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'g', -1, 64)
	if !bytes.ContainsAny(dst[start:], ".e") {
		dst = append(dst, ".0"...)
	}
	return dst
}
