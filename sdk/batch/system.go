package batch

import (
	"regexp"
	"time"

	"github.com/ipcore/ipcore/sdk"
)

// System describes a batch system. Its commands are lists of words. A word may contain
// fields:
//
//	{script}  path of the script (Submit)
//	{name}    name of the job (Submit)
//	{id}      id of one job, or of one element of its array (Delete, Signal, Lookup)
//	{ids}     ids of all jobs that are queried, separated by IDSeparator (Query)
//	{signal}  number of the signal (Signal)
//	{user}    login name; {uid} its number
//
// When IDSeparator is "", a word that is exactly "{ids}" becomes one word for each id.
type System struct {
	Name    string // of the launcher: "slurm"
	Title   string // for people: "Slurm"
	Class   string // prefix of the class names: "Slurm" for --SlurmLauncher.queue
	Package string // the software that contains the commands: "Slurm's client package"

	Submit      []string // submits the script and prints the job's id
	Delete      []string
	Signal      []string // nil: the system has none; empty: an option may set one
	Query       []string // prints the state of the jobs {ids}, or of all jobs of {user}
	IDSeparator string   // between {ids}
	List        []string // prints all jobs of {user}, with their names; nil: Query does that

	// Lookup are commands that print how one job ended that Query no longer prints.
	// They are tried in order until one knows the job. nil: there are none.
	Lookup [][]string

	// Check exits with 0 when the system would accept the script on its standard input.
	// nil: there is no such command.
	Check []string

	// ShowJobs prints everything that the system shows of its jobs; the conformance
	// checks look for secrets in it. nil: there is no such command.
	ShowJobs []string

	// SubmitEnv is added to the environment of Submit.
	SubmitEnv map[string]string

	// QueryIsComplete says that a job that Query does not print no longer exists, even
	// if Lookup does not know it either.
	QueryIsComplete bool

	// Stdin says that Submit reads the script from its standard input.
	Stdin bool

	// JobID matches the job's id in the output of Submit. The id is its first group, if
	// it has groups. nil: the id is the whole output.
	JobID *regexp.Regexp

	// These match the outputs, stdout or stderr, of a command that failed. Gone: the
	// system does not know the job. Ended: the system knows that the job has ended.
	// Down: the system can't be reached.
	Gone, Ended, Down *regexp.Regexp
	GoneCode          int // exit code with the same meaning as Gone; 0: none

	// Parse parses the output of Query and List. An error means that the output is not
	// an answer of the system, and nothing is concluded from it.
	Parse func(out []byte) ([]Record, error)

	// ParseLookup parses the output of the Lookup command with index i about a job. No
	// records and no error mean that the output does not say how the job ended.
	ParseLookup func(i int, id string, out []byte) ([]Record, error)

	// Adapt changes s, a copy of the System, according to the options, or to the
	// variant of the system that it finds; run runs one of the system's commands. nil:
	// there is nothing to adapt.
	Adapt func(s *System, o *Settings, run Runner) error

	// ListedID returns the id under which Query lists a job; nil: its id.
	ListedID func(id string) string

	// Element returns the id of one array element, for commands about it. nil: the
	// system's commands don't take elements.
	Element func(id string, index int) string

	Dialect Dialect
	Options []sdk.Option // options in addition to the common ones

	// Kinds are the kinds of workload that the launcher starts; nil: controller, engine
	// and single engine.
	Kinds []sdk.Kind

	// SettleTime is how long after its submission a job may be unknown to Query, and
	// how long after its end it may be unknown to Lookup; 0 means 10 s.
	SettleTime time.Duration

	// UnknownEnd is the reason that is reported for a job that has ended and of which
	// the system does not say how; it may say where to find out, and {id} stands for
	// the job. "" means "the system no longer knows it".
	UnknownEnd string

	tick time.Duration // replaces the interval and the spacing of queries in tests
}

// JobState is the state of a job or of an array element.
type JobState string

// The states of jobs.
const (
	Queued    JobState = "queued" // also for held jobs, whose reason says so
	Running   JobState = "running"
	Completed JobState = "completed"
	Failed    JobState = "failed"
	Cancelled JobState = "cancelled"
	Unknown   JobState = "unknown"
)

// Ended reports whether nothing of the job runs or will run.
func (s JobState) Ended() bool { return s == Completed || s == Failed || s == Cancelled }

// Record is what the system reports about one job, or about one array element.
type Record struct {
	Handle  string   // id of the job for commands; "": ID
	ID      string   // id of the job, without an element's index
	Index   int      // index of the element as the system counts; -1: the job is not an array, or the record is about all of it
	Name    string   // "" when the system did not print it
	Comment string   // the comment that holds the cluster's tag, if the directive "tag" sets one; else ""
	State   JobState // never ""
	Reason  string   // why the job waits, or how it ended, in the system's own words; may be ""
	Code    int      // exit code after the end, or -1 when it is not known
	Signal  string   // name of the signal that ended the job, or ""
}

// handle returns the id for commands about the job.
func (r Record) handle() string {
	if r.Handle != "" {
		return r.Handle
	}
	return r.ID
}

// Runner runs one command of the system with the launcher's limits on time and output.
type Runner func(words ...string) (stdout, stderr string, err error)

// kinds returns Kinds or its default.
func (s *System) kinds() []sdk.Kind {
	if s.Kinds != nil {
		return s.Kinds
	}
	return []sdk.Kind{sdk.Controller, sdk.Engine, sdk.SingleEngine}
}

// settleTime returns SettleTime or its default.
func (s *System) settleTime() time.Duration {
	if s.SettleTime > 0 {
		return s.SettleTime
	}
	return 10 * time.Second
}

// element returns the id of an element, or of the whole job if index is negative or
// the system's commands don't take elements.
func (s *System) element(id string, index int) string {
	if index < 0 || s.Element == nil {
		return id
	}
	return s.Element(id, index)
}
