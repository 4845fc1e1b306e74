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

// The kinds of workload. Engine is a set of n engines, which is what a cluster
// asks for; SingleEngine is one engine on its own.
const (
	Controller   Kind = "controller"
	Engine       Kind = "engine"
	SingleEngine Kind = "single-engine"
)

// Launcher starts, finds again and ends one workload: a controller or a set of
// engines. Start or FromDict is called first and once; after it returned, the
// other methods may be called at the same time from many goroutines.
//
// The optional powers are further interfaces: Waiter, Signaler, Outputter,
// ConnectionInfoer, Statuser, Scripter, Sweeper, and io.Closer, whose Close is
// called when the Launcher is let go while its workload runs on. Serve finds them
// by itself and announces them.
type Launcher interface {
	// Start requests the workload and returns when the request was accepted;
	// processes need not run yet. When it fails nothing of the workload is left.
	// ctx ends with Start: a process must not be bound to it (exec.CommandContext).
	// ErrBadOption: the request can't be carried out as given.
	Start(ctx context.Context, r StartRequest) error

	// Stop ends the workload and returns when nothing of it is left. It is nil
	// when it had ended before.
	Stop(ctx context.Context) error

	// FromDict takes up the workload of an earlier process from its state.
	// ErrNotRunning: it has ended for certain. Another error: not known, the state
	// is kept.
	FromDict(ctx context.Context, s State) error

	// ToDict answers the state that FromDict takes. It changes nothing.
	ToDict(ctx context.Context) (State, error)
}

// Waiter is a Launcher that notices the end of its workload. Without it the sdk
// looks every few seconds: it makes a fresh Launcher, calls its FromDict with
// the state, and takes ErrNotRunning for the end.
type Waiter interface {
	// Wait returns when all of the workload has ended, or with ctx's error.
	Wait(ctx context.Context) (Exit, error)
}

// Signaler is a Launcher that can signal its workload.
type Signaler interface {
	// Signal sends a signal, given by number ("9") or name ("KILL", "SIGKILL"), to
	// every process of the workload. ErrProcessState: it has ended.
	Signal(ctx context.Context, signal string) error
}

// Outputter is a Launcher that can show the output of its workload.
type Outputter interface {
	// Output answers the last output, also after the end. With remove it is
	// deleted afterwards.
	Output(ctx context.Context, remove bool) (string, error)
}

// ConnectionInfoer is a Launcher that fetches a controller's connection files.
type ConnectionInfoer interface {
	// ConnectionInfo waits for both files and answers them. ErrProcessState: the
	// controller ended before it wrote them.
	ConnectionInfo(ctx context.Context) (ConnectionInfo, error)
}

// Statuser is a Launcher that can say what the system knows of its workload.
type Statuser interface {
	// Status is called every few seconds for each workload, also after its end: a
	// launcher that asks a scheduler asks once for all of them. ErrUnknownStatus: the
	// system can't be asked now.
	Status(ctx context.Context) (Status, error)
}

// Power names an optional interface in a plugin's Info.
type Capability string

// The optional powers.
const (
	CapabilityWait           Capability = "wait"
	CapabilitySignal         Capability = "signal"
	CapabilityOutput         Capability = "output"
	CapabilityConnectionInfo Capability = "connection-info"
	CapabilityStatus         Capability = "status"
	CapabilityScript         Capability = "script"
	CapabilityOrphans        Capability = "orphans"
)

// Limited is a Launcher that has fewer powers than methods, since it stands for
// another program.
type CapabilityFilter interface {
	// Has tells whether it has the power.
	Has(Capability) bool
}

// has tells whether the launcher has a power whose method it has.
func allows(l Launcher, p Capability) bool {
	limited, ok := l.(CapabilityFilter)
	return !ok || limited.Has(p)
}

// powers answers the powers that l has.
func capabilities(l Launcher) []Capability {
	return slices.DeleteFunc(implemented(l), func(p Capability) bool { return !allows(l, p) })
}

// methods answers the powers that l has methods of.
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

// Env is what a Launcher is given when it is made.
type Host struct {
	// ID names the workload.
	ID string
	// Log goes to ipcore. A launcher writes nothing to stdout or stderr.
	Log hclog.Logger
	// Changed tells that a part of the workload changed, for example that one
	// engine of a set ended. It never blocks.
	Changed func(Change)
}

// StartRequest is what to start. The zero value of a field is its default.
type StartRequest struct {
	Kind       Kind
	ID         string            // of the workload; an engine set's id
	N          *int              // engines; nil means the launcher's default, and always for a controller
	ProfileDir string            // absolute
	ClusterID  string            // "" is the cluster without a name
	Command    []string          // program and arguments of one controller or engine
	Env        map[string]string // what to add to the environment
	WorkDir    string            // "" is where ipcore was started
	LogDir     string            // "" is ProfileDir/log
	Options    json.RawMessage   // the launcher's own options, a JSON object or empty

	// Tag names this start of this cluster, in letters, digits and "-", at most 40
	// characters. Env has it already, as EnvTag; a batch job has it in its name or
	// comment too, so that a Sweeper finds it.
	Tag string

	// ClientFile and EngineFile are the connection files on the host's machine, 0600
	// since they hold the key. A controller writes both there, or ConnectionInfo
	// fetches them from where it runs; an engine needs EngineFile, which a launcher to
	// other machines takes along.
	ClientFile, EngineFile string
}

// EnvTag is the variable of StartRequest.Tag in the environment of everything
// that is started.
const EnvTag = "IPCORE_CLUSTER_TAG"

// Count answers how many engines to start: N, or what the launcher takes when
// nobody says.
func (r StartRequest) Count(otherwise int) int {
	if r.N != nil {
		return *r.N
	}
	return otherwise
}

// DecodeOptions puts the launcher's own options into v, a pointer to a struct
// with JSON tags. An unknown key or a wrong type is ErrBadOption.
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

// State is what a launcher needs to find its workload again: a JSON object that
// nobody but the launcher looks into. It carries a version.
type State json.RawMessage

// NewState makes a State of v, a struct or map with JSON tags.
func NewState(v any) (State, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write state: %w", err)
	}
	return State(b), nil
}

// Decode puts the state into v. Keys that v does not have are passed over, since
// a newer version may have written them.
func (s State) Decode(v any) error {
	if err := json.Unmarshal(s, v); err != nil {
		return fmt.Errorf("%w: state: %w", ErrBadOption, err)
	}
	return nil
}

// MarshalJSON writes the state as it is.
func (s State) MarshalJSON() ([]byte, error) { return json.RawMessage(s).MarshalJSON() }

// UnmarshalJSON keeps the state as it is.
func (s *State) UnmarshalJSON(b []byte) error {
	*s = append((*s)[:0], b...)
	return nil
}

// isObject tells whether s is a JSON object.
func (s State) isObject() bool {
	t := bytes.TrimSpace(s)
	return len(t) > 0 && t[0] == '{' && json.Valid(t)
}

// Exit is how a workload, or one process of it, ended.
type Exit struct {
	Code   int    // exit code; -1 when not known, or when a signal ended it
	Signal string // name of the signal that ended it ("SIGKILL"), or ""
	Reason string // why, in the system's own words ("TIMEOUT", "CANCELLED by 1000"), or ""
	Output string // last lines of output, at most 16 KiB
}

// Change is a change of a part of a workload.
type Change struct {
	Index int    // which engine of the set; -1: none in particular
	Exit  Exit   // how it ended, if it did
	Text  string // what happened; "" means Exit.Output
}

// ConnectionInfo is a controller's two connection files.
type ConnectionInfo struct {
	Client, Engine json.RawMessage
}

// Status is what the system says of a workload.
type Status struct {
	State string // StatusPending, StatusRunning, StatusStopped or StatusUnknown

	// Text is in the system's own words, above all why something waits or how it
	// ended; may be "".
	Text string

	// How many processes of the workload run, wait for their turn, and there are in
	// all; nil when not known. The others have ended.
	Running, Pending, Total *int
}

// The states in a Status.
const (
	StatusPending = "pending" // none runs, some may
	StatusRunning = "running" // at least one runs
	StatusStopped = "stopped" // none will run any more
	StatusUnknown = "unknown" // the system could not be asked
)

// Event is one thing that became of a workload.
type Event struct {
	Seq   uint64 // from 1 for each id
	ID    string
	Kind  EventKind
	Index int // EventChanged: which engine; -1: none in particular
	Exit  Exit
	Text  string // what happened, or the last lines of output
}

// EventKind tells events apart.
type EventKind string

// The kinds of event: EventRunning is the first, EventStopped the last and told
// exactly once.
const (
	EventRunning EventKind = "running"
	EventChanged EventKind = "changed"
	EventStopped EventKind = "stopped"
)
