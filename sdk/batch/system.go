package batch

import (
	"regexp"
	"time"

	"github.com/ipcore/ipcore/sdk"
)

// System is a batch system. Its commands are lists of words; a word may hold
// fields:
//
//	{script}  path of the script (Submit)
//	{name}    name of the job (Submit)
//	{id}      id of one job, or of one element of its array (Delete, Signal, Lookup)
//	{ids}     ids of all jobs that are asked about, with Comma between (Query)
//	{signal}  number of the signal (Signal)
//	{user}    login name; {uid} its number
//
// A word that is exactly "{ids}" or "{id}" becomes one word for each id when
// Comma is "".
type System struct {
	Name    string // of the plugin: "slurm"
	Title   string // for people: "Slurm"
	Class   string // of the options: "Slurm" for --SlurmLauncher.queue
	Package string // what brings the commands: "Slurm's client package"

	Submit      []string // prints the job's id
	Delete      []string
	Signal      []string // nil: the system has none, empty: options may name one
	Query       []string // answers the jobs of {ids}, or all of {user}
	IDSeparator string   // between {ids}
	List        []string // all jobs of {user}, with their names; nil: Query is that

	// Lookup asks about one job that Query no longer knows: how it ended. Each is
	// tried until one answers. nil: there is none.
	Lookup [][]string

	// Check asks whether the script on its standard input would be accepted. nil: it
	// can't be asked.
	Check []string

	// ShowJobs prints everything that the system shows of its jobs; the conformance
	// checks look for secrets in it. nil: there is no such command.
	ShowJobs []string

	// SubmitEnv is added to the environment of Submit.
	SubmitEnv map[string]string

	// QueryKnows: what Query does not list is not there any more, whether Lookup
	// knows of it or not.
	QueryIsComplete bool

	// Stdin: Submit reads the script from its standard input.
	Stdin bool

	// JobID finds the job's id in what Submit printed; its first group if it has one.
	JobID *regexp.Regexp

	// Gone is what a command says of a job that the system does not know; Ended what
	// it says of one that it knows to have ended. Down is what it says when the
	// system can't be reached. Matched against both outputs of a command that
	// failed.
	Gone, Ended, Down *regexp.Regexp
	GoneCode          int // exit code that means the same as Gone; 0: none does

	// Parse reads the answer of Query and List. An error means that it is none.
	Parse func(out []byte) ([]Record, error)

	// ParseLookup reads what Lookup command i printed about a job. Nothing and no
	// error: it does not say.
	ParseLookup func(i int, id string, out []byte) ([]Record, error)

	// Adapt changes a copy of the System to what the options say or to what the
	// system turns out to be; run runs one of its commands. nil: nothing to adapt.
	Adapt func(s *System, o *Settings, run Runner) error

	// JobOf answers the id that Query lists job id under, when it is not id itself.
	ListedID func(id string) string

	// Element answers the id of one element of an array, for commands about it. nil:
	// elements can't be named.
	Element func(id string, index int) string

	Dialect Dialect
	Options []sdk.Option // beside the common ones

	// Kinds are what the launcher starts; nil: controller, engine and single engine.
	Kinds []sdk.Kind

	// Settle is how long after its submission a job may be unknown to Query, and
	// how long after its end Lookup may not know of it. 0 means 10 s.
	SettleTime time.Duration

	// Late is what is said of a job that has ended without the system knowing how:
	// where that can be read later; {id} stands for the job. "": the system no longer knows it.
	UnknownEnd string

	tick time.Duration // replaces the interval and the spacing of queries in tests
}

// JobState is what a batch system says of a job or an element of its array.
type JobState string

// The states.
const (
	Queued    JobState = "queued" // held ones too; the reason says so
	Running   JobState = "running"
	Completed JobState = "completed"
	Failed    JobState = "failed"
	Cancelled JobState = "cancelled"
	Unknown   JobState = "unknown"
)

// Ended tells whether nothing of the job runs or will.
func (s JobState) Ended() bool { return s == Completed || s == Failed || s == Cancelled }

// Record is what the system says of one job, or of one element of its array.
type Record struct {
	Handle  string   // id for commands about the job; "": ID
	ID      string   // of the job, without the index
	Index   int      // of the element as the system counts; -1: the job is no array, or all of it is meant
	Name    string   // "" when the answer does not have it
	Comment string   // where the directive "tag" puts the cluster's tag; "" if there is none
	State   JobState // never ""
	Reason  string   // why it waits, or how it ended, in the system's words; may be ""
	Code    int      // exit code of what ended, when known; else -1
	Signal  string   // name of the signal that ended it, or ""
}

// handle answers the id for commands about the job.
func (r Record) handle() string {
	if r.Handle != "" {
		return r.Handle
	}
	return r.ID
}

// Runner runs one command of the system with the launcher's limits.
type Runner func(words ...string) (stdout, stderr string, err error)

// kinds answers what the launcher starts.
func (s *System) kinds() []sdk.Kind {
	if s.Kinds != nil {
		return s.Kinds
	}
	return []sdk.Kind{sdk.Controller, sdk.Engine, sdk.SingleEngine}
}

// settle answers Settle or its default.
func (s *System) settleTime() time.Duration {
	if s.SettleTime > 0 {
		return s.SettleTime
	}
	return 10 * time.Second
}

// element answers the id of an element, or of the whole job.
func (s *System) element(id string, index int) string {
	if index < 0 || s.Element == nil {
		return id
	}
	return s.Element(id, index)
}
