package db

import (
	"encoding/json"
	"time"
	"unicode/utf8"
)

// column describes one field: its name, its kind, and how it is read and written.
// Of the accessors, only those of its kind are set.
type column struct {
	name string
	kind Kind

	text    func(*Record) (s string, ok bool) // false: null
	setText func(*Record, string)
	time    func(*Record) *time.Time
	dict    func(*Record) *[]byte
	blobs   func(*Record) *[][]byte

	apply func(dst, src *Record) // copies the field, or appends output
}

// textColumn describes a string; the empty string is null.
func textColumn(name string, at func(*Record) *string) column {
	return column{
		name: name, kind: Text,
		text:    func(r *Record) (string, bool) { s := *at(r); return s, s != "" },
		setText: func(r *Record, s string) { *at(r) = s },
		apply:   func(dst, src *Record) { *at(dst) = *at(src) },
	}
}

// optionalColumn describes a string that may be empty; nil means null.
func optionalColumn(name string, at func(*Record) **string) column {
	return column{
		name: name, kind: Text,
		text: func(r *Record) (string, bool) {
			if s := *at(r); s != nil {
				return *s, true
			}
			return "", false
		},
		setText: func(r *Record, s string) { *at(r) = &s },
		apply:   func(dst, src *Record) { *at(dst) = *at(src) },
	}
}

// outputColumn describes a stream, to which changes append. It is never null.
func outputColumn(name string, at func(*Record) *[]byte) column {
	return column{
		name: name, kind: Text,
		text:    func(r *Record) (string, bool) { return string(*at(r)), true },
		setText: func(r *Record, s string) { *at(r) = []byte(s) },
		apply:   func(dst, src *Record) { p := at(dst); *p = AppendOutput(*p, *at(src)) },
	}
}

func timeColumn(name string, at func(*Record) *time.Time) column {
	return column{name: name, kind: Time, time: at, apply: func(dst, src *Record) { *at(dst) = *at(src) }}
}

func dictColumn(name string, at func(*Record) *[]byte) column {
	return column{name: name, kind: Dict, dict: at, apply: func(dst, src *Record) { *at(dst) = *at(src) }}
}

func blobColumn(name string, at func(*Record) *[][]byte) column {
	return column{name: name, kind: Blob, blobs: at, apply: func(dst, src *Record) { *at(dst) = *at(src) }}
}

// columns describes every field.
var columns = [fieldCount]column{
	MsgID: {
		name: "msg_id", kind: Text,
		text:    func(r *Record) (string, bool) { return r.MsgID, true },
		setText: func(r *Record, s string) { r.MsgID = s },
		apply:   func(dst, src *Record) { dst.MsgID = src.MsgID },
	},
	Header:         dictColumn("header", func(r *Record) *[]byte { return &r.Header }),
	Metadata:       dictColumn("metadata", func(r *Record) *[]byte { return &r.Metadata }),
	Content:        dictColumn("content", func(r *Record) *[]byte { return &r.Content }),
	Buffers:        blobColumn("buffers", func(r *Record) *[][]byte { return &r.Buffers }),
	Submitted:      timeColumn("submitted", func(r *Record) *time.Time { return &r.Submitted }),
	ClientUUID:     textColumn("client_uuid", func(r *Record) *string { return &r.ClientUUID }),
	EngineUUID:     optionalColumn("engine_uuid", func(r *Record) **string { return &r.EngineUUID }),
	Started:        timeColumn("started", func(r *Record) *time.Time { return &r.Started }),
	Completed:      timeColumn("completed", func(r *Record) *time.Time { return &r.Completed }),
	Resubmitted:    textColumn("resubmitted", func(r *Record) *string { return &r.Resubmitted }),
	Received:       timeColumn("received", func(r *Record) *time.Time { return &r.Received }),
	ResultHeader:   dictColumn("result_header", func(r *Record) *[]byte { return &r.ResultHeader }),
	ResultMetadata: dictColumn("result_metadata", func(r *Record) *[]byte { return &r.ResultMetadata }),
	ResultContent:  dictColumn("result_content", func(r *Record) *[]byte { return &r.ResultContent }),
	ResultBuffers:  blobColumn("result_buffers", func(r *Record) *[][]byte { return &r.ResultBuffers }),
	Queue:          textColumn("queue", func(r *Record) *string { return &r.Queue }),
	ExecuteInput:   optionalColumn("execute_input", func(r *Record) **string { return &r.ExecuteInput }),
	ExecuteResult:  dictColumn("execute_result", func(r *Record) *[]byte { return &r.ExecuteResult }),
	ErrorField:     dictColumn("error", func(r *Record) *[]byte { return &r.Error }),
	Stdout:         outputColumn("stdout", func(r *Record) *[]byte { return &r.Stdout }),
	Stderr:         outputColumn("stderr", func(r *Record) *[]byte { return &r.Stderr }),
	Label:          textColumn("label", func(r *Record) *string { return &r.Label }),
}

var fieldNames = func() map[string]Field {
	names := make(map[string]Field, fieldCount)
	for f := range fieldCount {
		names[columns[f].name] = f
	}
	return names
}()

// Text returns a field of kind Text; false means null.
func (r *Record) Text(f Field) (string, bool) { return columns[f].text(r) }

// SetText sets a field of kind Text.
func (r *Record) SetText(f Field, s string) { columns[f].setText(r, s) }

// Time returns a field of kind Time; the zero time is null.
func (r *Record) Time(f Field) time.Time { return *columns[f].time(r) }

// SetTime sets a field of kind Time.
func (r *Record) SetTime(f Field, t time.Time) { *columns[f].time(r) = t }

// Dict returns the JSON text of a field of kind Dict; nil means null.
func (r *Record) Dict(f Field) []byte { return *columns[f].dict(r) }

// SetDict sets a field of kind Dict.
func (r *Record) SetDict(f Field, text []byte) { *columns[f].dict(r) = text }

// Blobs returns a field of kind Blob; nil means null.
func (r *Record) Blobs(f Field) [][]byte { return *columns[f].blobs(r) }

// SetBlobs sets a field of kind Blob.
func (r *Record) SetBlobs(f Field, list [][]byte) { *columns[f].blobs(r) = list }

// Value returns a field for comparison: nil, a string, a time.Time, the value
// that a dictionary's JSON text decodes to, or a []any of byte strings.
func (r *Record) Value(f Field) any {
	switch f.Kind() {
	case Text:
		if s, ok := r.Text(f); ok {
			return s
		}
	case Time:
		if t := r.Time(f); !t.IsZero() {
			return t
		}
	case Dict:
		var decoded any
		if text := r.Dict(f); text != nil && json.Unmarshal(text, &decoded) == nil {
			return decoded
		}
	case Blob:
		if blobs := r.Blobs(f); blobs != nil {
			list := make([]any, len(blobs))
			for i, b := range blobs {
				list[i] = string(b)
			}
			return list
		}
	}
	return nil
}

// AppendJSON appends a field as JSON text. Bytes that are not JSON text in UTF-8,
// which only a faulty peer sends, become null. Buffers have no JSON form and become
// null as well.
func (r *Record) AppendJSON(dst []byte, f Field) []byte {
	switch f.Kind() {
	case Text:
		if s, ok := r.Text(f); ok {
			return appendQuoted(dst, s)
		}
	case Time:
		if t := r.Time(f); !t.IsZero() {
			return appendTime(dst, t)
		}
	case Dict:
		if text := r.Dict(f); text != nil && utf8.Valid(text) && json.Valid(text) {
			return append(dst, text...)
		}
	case Blob:
	}
	return append(dst, "null"...)
}

// appendQuoted appends a JSON string; bytes that are not UTF-8 become U+FFFD.
func appendQuoted(dst []byte, s string) []byte {
	text, err := json.Marshal(s)
	if err != nil { // strings always marshal
		return append(dst, `""`...)
	}
	return append(dst, text...)
}

// timeLayout is how dates are written: UTC and microseconds.
const timeLayout = "2006-01-02T15:04:05.000000Z"

func appendTime(dst []byte, t time.Time) []byte {
	dst = append(dst, '"')
	dst = t.UTC().AppendFormat(dst, timeLayout)
	return append(dst, '"')
}
