package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/hashicorp/go-hclog"
)

// Kind is what a launcher starts.
type Kind string

// The kinds of workload. Engine is a set of n engines, which a cluster asks for.
// SingleEngine is one engine that does not belong to a set.
const (
	Controller   Kind = "controller"
	Engine       Kind = "engine"
	SingleEngine Kind = "single-engine"
)

// Launcher starts, finds again and ends one workload: a controller or a set of
// engines. Either Start or FromDict is called first, and once. After it has
// returned, the other methods may be called concurrently.
//
// Capabilities are further interfaces that a Launcher may implement: Waiter,
// Signaler, Outputter, ConnectionInfoer, Statuser, Scripter and OrphanFinder. Serve
// detects them and declares them to the host. A Launcher may also be an io.Closer:
// Close is called when the plugin no longer needs the Launcher, whose workload may
// still be running.
type Launcher interface {
	// Start requests the workload and returns when the system has accepted the
	// request; processes need not run yet. After an error nothing of the workload may
	// be left. ctx ends when Start returns, so a process must not be bound to it with
	// exec.CommandContext. The error wraps ErrBadOption when the request can't be
	// carried out as given.
	Start(ctx context.Context, r StartRequest) error

	// Stop ends the workload and returns when nothing of it is left. It returns nil
	// when the workload had ended before.
	Stop(ctx context.Context) error

	// FromDict finds a workload that an earlier plugin process started, from its
	// state. The error wraps ErrNotRunning when the workload has certainly ended. After
	// any other error the host keeps the state and may try again.
	FromDict(ctx context.Context, s State) error

	// ToDict returns the state from which FromDict finds the workload. It changes
	// nothing.
	ToDict(ctx context.Context) (State, error)
}

// Waiter is a Launcher that notices the end of its workload. For a Launcher that is
// not a Waiter, the sdk checks every Info.PollEvery: it creates another Launcher and
// calls its FromDict with the state; ErrNotRunning means that the workload has ended.
type Waiter interface {
	// Wait returns when the whole workload has ended, or ctx's error when ctx ends
	// first.
	Wait(ctx context.Context) (Exit, error)
}

// Signaler is a Launcher that can signal its workload.
type Signaler interface {
	// Signal sends a signal, given by number ("9") or name ("KILL", "SIGKILL"), to
	// every process of the workload. The error wraps ErrProcessState when the workload
	// has ended, and ErrBadOption when there is no such signal.
	Signal(ctx context.Context, signal string) error
}

// Outputter is a Launcher that can return the output of its workload.
type Outputter interface {
	// Output returns the last output, also after the end of the workload. With remove
	// it deletes the output afterwards.
	Output(ctx context.Context, remove bool) (string, error)
}

// ConnectionInfoer is a Launcher that fetches a controller's connection files.
type ConnectionInfoer interface {
	// ConnectionInfo waits until both files exist and returns them. The error wraps
	// ErrProcessState when the controller ended before it wrote them.
	ConnectionInfo(ctx context.Context) (ConnectionInfo, error)
}

// Statuser is a Launcher that can return what the system reports about its workload.
type Statuser interface {
	// Status is called every few seconds for each workload, also after its end. A
	// launcher that has to query a scheduler should send one query for all workloads.
	// The error wraps ErrUnknownStatus when the system can't be queried now.
	Status(ctx context.Context) (Status, error)
}

// Capability is the name of an optional interface in a plugin's Info.
type Capability string

// The capabilities, each with the interface that it stands for in its name.
const (
	CapabilityWait           Capability = "wait"
	CapabilitySignal         Capability = "signal"
	CapabilityOutput         Capability = "output"
	CapabilityConnectionInfo Capability = "connection-info"
	CapabilityStatus         Capability = "status"
	CapabilityScript         Capability = "script"
	CapabilityOrphans        Capability = "orphans"
)

// CapabilityFilter is a Launcher that implements more interfaces than it has
// capabilities, for example because it serves a script that may lack some.
type CapabilityFilter interface {
	// Has reports whether the Launcher has the capability. It is called before Start
	// and FromDict, too.
	Has(Capability) bool
}

// allows reports whether the launcher has a capability that it implements.
func allows(l Launcher, p Capability) bool {
	filter, ok := l.(CapabilityFilter)
	return !ok || filter.Has(p)
}

// capabilities returns the capabilities of l.
func capabilities(l Launcher) []Capability {
	return slices.DeleteFunc(implemented(l), func(p Capability) bool { return !allows(l, p) })
}

// implemented returns the capabilities whose interfaces l implements.
func implemented(l Launcher) []Capability {
	var p []Capability
	if _, ok := l.(Waiter); ok {
		p = append(p, CapabilityWait)
	}
	if _, ok := l.(Signaler); ok {
		p = append(p, CapabilitySignal)
	}
	if _, ok := l.(Outputter); ok {
		p = append(p, CapabilityOutput)
	}
	if _, ok := l.(ConnectionInfoer); ok {
		p = append(p, CapabilityConnectionInfo)
	}
	if _, ok := l.(Statuser); ok {
		p = append(p, CapabilityStatus)
	}
	if _, ok := l.(Scripter); ok {
		p = append(p, CapabilityScript)
	}
	if _, ok := l.(OrphanFinder); ok {
		p = append(p, CapabilityOrphans)
	}
	return p
}

// Host is a new Launcher's access to its host, the ipcore process that the plugin
// serves.
type Host struct {
	// ID names the workload.
	ID string
	// Log sends log messages to the host. A launcher must not write to stdout, and
	// should not write to stderr.
	Log hclog.Logger
	// Changed reports that a part of the workload changed, for example that one engine
	// of a set ended. It never blocks, and may be called from any goroutine.
	Changed func(Change)
}

// StartRequest describes the workload to start. The zero value of a field is its
// default.
type StartRequest struct {
	Kind       Kind
	ID         string            // of the workload; of the set for engines
	N          *int              // number of engines; nil for the launcher's default, and always for a controller
	ProfileDir string            // absolute path
	ClusterID  string            // "" for the cluster without a name
	Command    []string          // program and arguments of one controller or engine
	Env        map[string]string // variables to add to the environment
	WorkDir    string            // "" for the folder in which ipcore was started
	LogDir     string            // "" for ProfileDir/log
	Options    json.RawMessage   // the launcher's own options: a JSON object, or empty

	// Tag identifies this start of this cluster: letters, digits and "-", at most 40
	// characters. Env already contains it as EnvTag. A batch job should have it in its
	// name or comment as well, so that an OrphanFinder finds the job.
	Tag string

	// ClientFile and EngineFile are the paths of the connection files on the host's
	// machine. Their mode is 0600 because they contain the key. Either the controller
	// writes both, or ConnectionInfo fetches them from the machine where it runs. An
	// engine needs EngineFile; a launcher that starts engines on other machines has to
	// copy it there.
	ClientFile, EngineFile string

	// KeepConnectionFiles says that the controller uses the connection files of an
	// earlier controller again, and leaves its own behind when it ends. A launcher that
	// runs the controller on another machine must not delete them there.
	KeepConnectionFiles bool
}

// EnvTag is the environment variable that holds StartRequest.Tag in every process of
// a workload.
const EnvTag = "IPCORE_CLUSTER_TAG"

// Count returns the number of engines to start: N, or defaultN when the request does
// not say.
func (r StartRequest) Count(defaultN int) int {
	if r.N != nil {
		return *r.N
	}
	return defaultN
}

// DecodeOptions stores the launcher's own options in v, a pointer to a struct with
// JSON tags. The error wraps ErrBadOption when a key is unknown or a value has the
// wrong type. Without options it leaves v as it is.
func (r StartRequest) DecodeOptions(v any) error {
	if len(bytes.TrimSpace(r.Options)) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(r.Options))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w: options: %w", ErrBadOption, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: options: more than one JSON object", ErrBadOption)
	}
	return nil
}

// State is what a launcher needs to find its workload again: a JSON object that only
// the launcher interprets. It should contain a version, so that a later version of
// the launcher can read it.
type State json.RawMessage

// NewState returns v, a struct with JSON tags or a map, as a State.
func NewState(v any) (State, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode the state: %w", err)
	}
	return State(b), nil
}

// Decode stores the state in v, a pointer to a struct with JSON tags. It ignores keys
// that v does not have, because a newer version may have written them. The error
// wraps ErrBadOption when the state does not fit v.
func (s State) Decode(v any) error {
	if err := json.Unmarshal(s, v); err != nil {
		return fmt.Errorf("%w: state: %w", ErrBadOption, err)
	}
	return nil
}

// MarshalJSON returns the state unchanged.
func (s State) MarshalJSON() ([]byte, error) { return json.RawMessage(s).MarshalJSON() }

// UnmarshalJSON stores b unchanged.
func (s *State) UnmarshalJSON(b []byte) error {
	*s = append((*s)[:0], b...)
	return nil
}

// isObject reports whether s is a JSON object.
func (s State) isObject() bool {
	t := bytes.TrimSpace(s)
	return len(t) > 0 && t[0] == '{' && json.Valid(t)
}

// Exit describes how a workload, or one process of it, ended.
type Exit struct {
	Code   int    // exit code; -1 when it is not known, or when a signal ended the process
	Signal string // name of the signal that ended the process ("SIGKILL"), or ""
	Reason string // the reason in the system's own words ("TIMEOUT", "CANCELLED by 1000"), or ""
	Output string // the last lines of output, at most 16 KiB
}

// Change describes a change of a part of a workload.
type Change struct {
	Index int    // index of the engine in its set, from 0; -1 when the change is not about one engine
	Exit  Exit   // how the engine ended, if it did
	Text  string // what happened; "" means Exit.Output
}

// ConnectionInfo is a controller's two connection files.
type ConnectionInfo struct {
	Client, Engine json.RawMessage
}

// Status is what the system reports about a workload.
type Status struct {
	State string // StatusPending, StatusRunning, StatusStopped or StatusUnknown

	// Text is in the system's own words, mainly why a process waits or how it ended.
	// It may be "".
	Text string

	// Running and Pending are the numbers of processes of the workload that run and
	// that wait to run; Total is the number of all, including those that have ended. nil
	// means that a number is not known.
	Running, Pending, Total *int
}

// The values of Status.State.
const (
	StatusPending = "pending" // no process runs yet, and some will
	StatusRunning = "running" // at least one process runs
	StatusStopped = "stopped" // no process runs or will run
	StatusUnknown = "unknown" // the system could not be queried
)

// Event is an event in the life of a workload.
type Event struct {
	Seq   uint64 // counted from 1 for each id
	ID    string
	Kind  EventKind
	Index int // of EventChanged: index of the engine in its set, from 0; -1 when it is not about one engine
	Exit  Exit
	Text  string // what happened, or the last lines of output
}

// EventKind is the kind of an Event.
type EventKind string

// The kinds of event. EventRunning is the first event of a workload, and
// EventStopped the last; each is sent exactly once.
const (
	EventRunning EventKind = "running"
	EventChanged EventKind = "changed"
	EventStopped EventKind = "stopped"
)
