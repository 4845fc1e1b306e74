package db

// Field identifies a field of a Record.
type Field int

// The fields, in the order of the columns in IPython Parallel's tables.
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

// Kind is the type of a field's value.
type Kind int

// The kinds of fields.
const (
	Text Kind = iota // a string
	Time
	Dict // JSON text
	Blob // a list of byte strings
)

// Name returns the field's name in queries, replies and tables.
func (f Field) Name() string { return columns[f].name }

// Kind returns the type of the field's value.
func (f Field) Kind() Kind { return columns[f].kind }

// FieldNamed returns the field of a name, and whether one exists.
func FieldNamed(name string) (Field, bool) {
	f, ok := fieldNames[name]
	return f, ok
}

// Fields is a set of fields.
type Fields uint32

// FieldSet returns the set of fields.
func FieldSet(fields ...Field) Fields {
	var s Fields
	for _, f := range fields {
		s |= 1 << f
	}
	return s
}

// AllFields is the set of all fields.
const AllFields Fields = 1<<fieldCount - 1

// Has reports whether a field is in the set.
func (s Fields) Has(f Field) bool { return s>>f&1 == 1 }

// List returns the fields in order.
func (s Fields) List() []Field {
	var list []Field
	for f := range fieldCount {
		if s.Has(f) {
			list = append(list, f)
		}
	}
	return list
}

// TimeFields are the fields of kind Time, OutputFields the fields that a Change
// appends to.
var (
	TimeFields   = FieldSet(Submitted, Started, Completed, Received)
	OutputFields = FieldSet(Stdout, Stderr)
)

// bufferFields are omitted from replies unless they are requested.
const bufferFields = Fields(1<<Buffers | 1<<ResultBuffers)

// ParseKeys returns the fields that a request names; without keys, all fields except
// the buffers. MsgID is always among them. The error is of kind ErrQuery.
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
