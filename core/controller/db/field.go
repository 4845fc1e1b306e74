package db

import (
	"encoding/json"
	"time"
)

// Field is one field of a Record.
type Field int

// The fields, in the order of upstream's tables.
const (
	MsgID Field = iota
	Header
	Metadata
	Content
	Buffers
	Submitted
	ClientUUID
	EngineUUID
	Started
	Completed
	Resubmitted
	Received
	ResultHeader
	ResultMetadata
	ResultContent
	ResultBuffers
	Queue
	ExecuteInput
	ExecuteResult
	ErrorField
	Stdout
	Stderr
	Label
	fieldCount
)

// Kind says what a field holds.
type Kind int

// The kinds of fields.
const (
	Text Kind = iota // a string
	Time
	Dict // JSON text
	Blob // a list of byte strings
)

// Name is the field's name in queries, replies and tables.
func (f Field) Name() string { return fieldTable[f].name }

// Kind is what the field holds.
func (f Field) Kind() Kind { return fieldTable[f].kind }

// FieldNamed finds a field by its name.
func FieldNamed(name string) (Field, bool) {
	f, ok := fieldNames[name]
	return f, ok
}

// Fields is a set of fields.
type Fields uint32

// FieldSet makes a set.
func FieldSet(fields ...Field) Fields {
	var s Fields
	for _, f := range fields {
		s |= 1 << f
	}
	return s
}

// AllFields is every field.
const AllFields Fields = 1<<fieldCount - 1

// Has tells whether a field is in the set.
func (s Fields) Has(f Field) bool { return s>>f&1 == 1 }

// List answers the fields in order.
func (s Fields) List() []Field {
	var list []Field
	for f := range fieldCount {
		if s.Has(f) {
			list = append(list, f)
		}
	}
	return list
}

// Text answers a field of kind Text; false is null.
func (r *Record) Text(f Field) (string, bool) {
	switch f {
	case MsgID:
		return r.MsgID, true
	case ClientUUID:
		return r.ClientUUID, r.ClientUUID != ""
	case EngineUUID:
		if r.EngineUUID == nil {
			return "", false
		}
		return *r.EngineUUID, true
	case Resubmitted:
		return r.Resubmitted, r.Resubmitted != ""
	case Queue:
		return r.Queue, r.Queue != ""
	case ExecuteInput:
		if r.ExecuteInput == nil {
			return "", false
		}
		return *r.ExecuteInput, true
	case Stdout:
		return string(r.Stdout), true
	case Stderr:
		return string(r.Stderr), true
	case Label:
		return r.Label, r.Label != ""
	}
	return "", false
}

// column is how a field is read and copied.
type column struct {
	name string
	kind Kind
	raw  func(*Record) any // string, []byte of JSON text, time.Time, [][]byte, or nil
	copy func(dst, src *Record)
}

// value is raw, decoded for comparison.
func (c *column) value(r *Record) any {
	switch v := c.raw(r).(type) {
	case string:
		return v
	case time.Time:
		if v.IsZero() {
			return nil
		}
		return v
	case []byte:
		if v == nil {
			return nil
		}
		var decoded any
		if json.Unmarshal(v, &decoded) != nil {
			return nil
		}
		return decoded
	case [][]byte:
		if v == nil {
			return nil
		}
		list := make([]any, len(v))
		for i, b := range v {
			list[i] = string(b)
		}
		return list
	}
	return nil
}

// textOrNil answers the raw form of a field of kind Text.
func textOrNil(f Field) func(*Record) any {
	return func(r *Record) any {
		if s, ok := r.Text(f); ok {
			return s
		}
		return nil
	}
}

var fieldTable = [fieldCount]column{
	MsgID:          {"msg_id", Text, textOrNil(MsgID), func(d, s *Record) { d.MsgID = s.MsgID }},
	Header:         {"header", Dict, func(r *Record) any { return r.Header }, func(d, s *Record) { d.Header = s.Header }},
	Metadata:       {"metadata", Dict, func(r *Record) any { return r.Metadata }, func(d, s *Record) { d.Metadata = s.Metadata }},
	Content:        {"content", Dict, func(r *Record) any { return r.Content }, func(d, s *Record) { d.Content = s.Content }},
	Buffers:        {"buffers", Blob, func(r *Record) any { return r.Buffers }, func(d, s *Record) { d.Buffers = s.Buffers }},
	Submitted:      {"submitted", Time, func(r *Record) any { return r.Submitted }, func(d, s *Record) { d.Submitted = s.Submitted }},
	ClientUUID:     {"client_uuid", Text, textOrNil(ClientUUID), func(d, s *Record) { d.ClientUUID = s.ClientUUID }},
	EngineUUID:     {"engine_uuid", Text, textOrNil(EngineUUID), func(d, s *Record) { d.EngineUUID = s.EngineUUID }},
	Started:        {"started", Time, func(r *Record) any { return r.Started }, func(d, s *Record) { d.Started = s.Started }},
	Completed:      {"completed", Time, func(r *Record) any { return r.Completed }, func(d, s *Record) { d.Completed = s.Completed }},
	Resubmitted:    {"resubmitted", Text, textOrNil(Resubmitted), func(d, s *Record) { d.Resubmitted = s.Resubmitted }},
	Received:       {"received", Time, func(r *Record) any { return r.Received }, func(d, s *Record) { d.Received = s.Received }},
	ResultHeader:   {"result_header", Dict, func(r *Record) any { return r.ResultHeader }, func(d, s *Record) { d.ResultHeader = s.ResultHeader }},
	ResultMetadata: {"result_metadata", Dict, func(r *Record) any { return r.ResultMetadata }, func(d, s *Record) { d.ResultMetadata = s.ResultMetadata }},
	ResultContent:  {"result_content", Dict, func(r *Record) any { return r.ResultContent }, func(d, s *Record) { d.ResultContent = s.ResultContent }},
	ResultBuffers:  {"result_buffers", Blob, func(r *Record) any { return r.ResultBuffers }, func(d, s *Record) { d.ResultBuffers = s.ResultBuffers }},
	Queue:          {"queue", Text, textOrNil(Queue), func(d, s *Record) { d.Queue = s.Queue }},
	ExecuteInput:   {"execute_input", Text, textOrNil(ExecuteInput), func(d, s *Record) { d.ExecuteInput = s.ExecuteInput }},
	ExecuteResult:  {"execute_result", Dict, func(r *Record) any { return r.ExecuteResult }, func(d, s *Record) { d.ExecuteResult = s.ExecuteResult }},
	ErrorField:     {"error", Dict, func(r *Record) any { return r.Error }, func(d, s *Record) { d.Error = s.Error }},
	Stdout:         {"stdout", Text, textOrNil(Stdout), func(d, s *Record) { d.Stdout = AppendOutput(d.Stdout, s.Stdout) }},
	Stderr:         {"stderr", Text, textOrNil(Stderr), func(d, s *Record) { d.Stderr = AppendOutput(d.Stderr, s.Stderr) }},
	Label:          {"label", Text, textOrNil(Label), func(d, s *Record) { d.Label = s.Label }},
}

var fieldNames = func() map[string]Field {
	names := make(map[string]Field, fieldCount)
	for f := range fieldCount {
		names[fieldTable[f].name] = f
	}
	return names
}()

// bufferFields are left out unless they are asked for.
const bufferFields = Fields(1<<Buffers | 1<<ResultBuffers)

// ParseKeys answers the fields that a request names; none means all but the
// buffers. MsgID is always among them.
func ParseKeys(keys []string) (Fields, error) {
	if len(keys) == 0 {
		return AllFields &^ bufferFields, nil
	}
	set := FieldSet(MsgID)
	for _, key := range keys {
		f, ok := FieldNamed(key)
		if !ok {
			return 0, queryError("KeyError", quote(key))
		}
		set |= FieldSet(f)
	}
	return set, nil
}
