package db

import "time"

// SetText sets a field of kind Text.
func (r *Record) SetText(f Field, s string) {
	switch f {
	case MsgID:
		r.MsgID = s
	case ClientUUID:
		r.ClientUUID = s
	case EngineUUID:
		r.EngineUUID = &s
	case Resubmitted:
		r.Resubmitted = s
	case Queue:
		r.Queue = s
	case ExecuteInput:
		r.ExecuteInput = &s
	case Stdout:
		r.Stdout = []byte(s)
	case Stderr:
		r.Stderr = []byte(s)
	case Label:
		r.Label = s
	}
}

// SetTime sets a field of kind Time.
func (r *Record) SetTime(f Field, t time.Time) {
	switch f {
	case Submitted:
		r.Submitted = t
	case Started:
		r.Started = t
	case Completed:
		r.Completed = t
	case Received:
		r.Received = t
	}
}

// Dict answers the JSON text of a field of kind Dict; nil is null.
func (r *Record) Dict(f Field) []byte {
	text, _ := fieldTable[f].raw(r).([]byte)
	return text
}

// SetDict sets a field of kind Dict.
func (r *Record) SetDict(f Field, text []byte) {
	switch f {
	case Header:
		r.Header = text
	case Metadata:
		r.Metadata = text
	case Content:
		r.Content = text
	case ResultHeader:
		r.ResultHeader = text
	case ResultMetadata:
		r.ResultMetadata = text
	case ResultContent:
		r.ResultContent = text
	case ExecuteResult:
		r.ExecuteResult = text
	case ErrorField:
		r.Error = text
	}
}

// Blobs answers a field of kind Blob; nil is null.
func (r *Record) Blobs(f Field) [][]byte {
	list, _ := fieldTable[f].raw(r).([][]byte)
	return list
}

// SetBlobs sets a field of kind Blob.
func (r *Record) SetBlobs(f Field, list [][]byte) {
	switch f {
	case Buffers:
		r.Buffers = list
	case ResultBuffers:
		r.ResultBuffers = list
	}
}

// TimeFields are the fields of kind Time, OutputFields those that a change
// appends to.
var (
	TimeFields   = FieldSet(Submitted, Started, Completed, Received)
	OutputFields = FieldSet(Stdout, Stderr)
)
