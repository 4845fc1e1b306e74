package db

import (
	"errors"
	"strconv"
	"strings"
)

// DB stores task records. The hub's goroutine is its only user.
//
// Records that a DB answers are valid until its next method call and must not
// be changed. Byte slices that a DB is given belong to it; the Record or Change
// around them stays the caller's, who uses it again.
type DB interface {
	// Name is the backend's name as the controller logs it, such as "DictDB".
	Name() string
	// Add stores a new record; ErrDuplicate when its id is known.
	Add(r *Record) error
	// Get returns one record, or ErrUnknown or ErrCulled.
	Get(id string) (*Record, error)
	// Update changes fields of a record; ErrUnknown or ErrCulled.
	Update(id string, c *Change) error
	// Drop forgets a record; ErrUnknown or ErrCulled.
	Drop(id string) error
	// DropMatching forgets every record that the query matches and answers how
	// many there were.
	DropMatching(q Query) (int, error)
	// Find returns the records that the query matches, oldest submission first.
	// At least the fields keys of them are filled in, and the id.
	Find(q Query, keys Fields) ([]*Record, error)
	// History returns the ids of all submitted tasks, oldest first. Stubs,
	// which have no submission time, are not among them.
	History() ([]string, error)
	// Close writes what is not written yet. A second call does nothing.
	Close() error
}

// Transient is a DB in memory that keeps only so many records. Its user may
// keep back the records of tasks that nobody has asked for, and not add those
// that newer ones displace before anybody does.
type Transient interface {
	DB
	// Has reports whether a record is stored.
	Has(id string) bool
	// Reserve returns how many records of tasks that have ended are kept back, and
	// their size in bytes as Record.Size has it. They count in the limits; to make
	// room for them older ones are dropped. False: there is no room, and the
	// oldest of them is to be passed over.
	Reserve(records int, bytes int64) bool
	// Pass counts a record that was passed over as one that has been culled.
	Pass(id string)
}

// Kinds of errors, for errors.Is.
var (
	ErrUnknown   = errors.New("unknown record")
	ErrCulled    = errors.New("record has been culled")
	ErrDuplicate = errors.New("record exists")
	ErrNoData    = errors.New("no data is kept")
	ErrQuery     = errors.New("invalid query")
	// ErrUnavailable means that the store of the records does not respond.
	ErrUnavailable = errors.New("task database does not answer")
)

// Error is an error as a client is told it: under the name of the exception
// that Python's own backends raise.
type Error struct {
	Ename  string
	Evalue string
	Kind   error // one of the kinds above
}

func (e *Error) Error() string { return e.Ename + ": " + e.Evalue }

// Unwrap returns the kind of the error.
func (e *Error) Unwrap() error { return e.Kind }

// Unknown is the error for an id that was never stored, or was dropped.
func Unknown(id string) error {
	return &Error{Ename: "KeyError", Evalue: quote("No such msg_id " + quote(id)), Kind: ErrUnknown}
}

// Culled is the error for an id that had to make room.
func Culled(id string) error {
	return &Error{Ename: "KeyError", Evalue: quote("Record " + quote(id) + " has been culled for size"), Kind: ErrCulled}
}

// Duplicate is the error for an id that is stored already.
func Duplicate(id string) error {
	return &Error{Ename: "KeyError", Evalue: quote("Already have msg_id " + quote(id)), Kind: ErrDuplicate}
}

// NoData is the error of every question to a backend that keeps nothing.
func NoData() error {
	return &Error{Ename: "NoData", Evalue: "the controller runs without a task database (NoDB)", Kind: ErrNoData}
}

// quote writes s as Python's repr does: in single quotes, or in double quotes
// when s itself has single quotes only. The text of a KeyError is quoted.
func quote(s string) string {
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		return strconv.Quote(s)
	}
	inner := strconv.Quote(s)
	inner = strings.ReplaceAll(inner[1:len(inner)-1], `\"`, `"`)
	return "'" + strings.ReplaceAll(inner, "'", `\'`) + "'"
}
