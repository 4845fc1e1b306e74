package db

import (
	"errors"
	"strconv"
	"strings"
)

// DB stores task records. The hub's goroutine is its only user.
//
// Records that a DB returns are valid until its next method call and must not be
// changed. A DB keeps the byte slices that are passed to it; the Record or Change
// around them still belongs to the caller, which may reuse it.
type DB interface {
	// Name returns the backend's name as the controller logs it, such as "DictDB".
	Name() string
	// Add stores a new record; ErrDuplicate if a record with its id exists.
	Add(r *Record) error
	// Get returns one record; ErrUnknown or ErrCulled.
	Get(id string) (*Record, error)
	// Update changes fields of a record; ErrUnknown or ErrCulled.
	Update(id string, c *Change) error
	// Drop removes a record; ErrUnknown or ErrCulled.
	Drop(id string) error
	// DropMatching removes all records that the query matches and returns their
	// number.
	DropMatching(q Query) (int, error)
	// Find returns the records that the query matches, oldest submission first. At
	// least the id and the fields keys of them are set.
	Find(q Query, keys Fields) ([]*Record, error)
	// History returns the ids of all submitted tasks, oldest first. It omits stubs,
	// which have no submission time.
	History() ([]string, error)
	// Close writes all changes that are not written yet. A second call does nothing.
	Close() error
}

// Transient is a DB in memory that keeps a limited number of records. Its user may
// defer adding the records of ended tasks until they are requested, and never add
// those that newer ones would displace before that.
type Transient interface {
	DB
	// Has reports whether a record is stored.
	Has(id string) bool
	// Reserve sets how many records of ended tasks are deferred, and their total
	// Record.Size in bytes. They count towards the limits: older records are dropped
	// to make space for them. It returns false if they still exceed a limit; the
	// caller must then discard the oldest of them.
	Reserve(records int, bytes int64) bool
	// MarkCulled records that a deferred record was discarded: it counts as culled.
	MarkCulled(id string)
}

// Kinds of errors, for errors.Is.
var (
	ErrUnknown   = errors.New("unknown record")
	ErrCulled    = errors.New("record has been culled")
	ErrDuplicate = errors.New("record exists")
	ErrNoData    = errors.New("no data is kept")
	ErrQuery     = errors.New("invalid query")
	// ErrUnavailable: the file or server of the database does not respond.
	ErrUnavailable = errors.New("task database does not respond")
)

// Error is an error as it is reported to a client: with the name of the exception
// that IPython Parallel's backends raise.
type Error struct {
	Ename  string
	Evalue string
	Kind   error // one of the kinds above
}

func (e *Error) Error() string { return e.Ename + ": " + e.Evalue }

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.Kind }

// Unknown returns the error for an id that was never stored, or was dropped.
func Unknown(id string) error {
	return &Error{Ename: "KeyError", Evalue: quote("No such msg_id " + quote(id)), Kind: ErrUnknown}
}

// Culled returns the error for an id that was dropped to keep within the limits.
func Culled(id string) error {
	return &Error{Ename: "KeyError", Evalue: quote("Record " + quote(id) + " has been culled for size"), Kind: ErrCulled}
}

// Duplicate returns the error for an id that is stored already.
func Duplicate(id string) error {
	return &Error{Ename: "KeyError", Evalue: quote("Already have msg_id " + quote(id)), Kind: ErrDuplicate}
}

// NoData returns the error of every query to a backend that keeps nothing.
func NoData() error {
	return &Error{Ename: "NoData", Evalue: "the controller runs without a task database (NoDB)", Kind: ErrNoData}
}

// quote quotes s as Python's repr does: in single quotes, or in double quotes if s
// contains single quotes but no double quotes. The text of a KeyError is quoted.
func quote(s string) string {
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		return strconv.Quote(s)
	}
	inner := strconv.Quote(s)
	inner = strings.ReplaceAll(inner[1:len(inner)-1], `\"`, `"`)
	return "'" + strings.ReplaceAll(inner, "'", `\'`) + "'"
}
