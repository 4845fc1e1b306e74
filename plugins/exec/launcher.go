package exec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

// stateVersion is the form of state.
const stateVersion = 1

// stopPause is how long Stop waits between two looks, and stopLimit how long it
// looks at all.
const (
	stopPause = 100 * time.Millisecond
	stopLimit = 30 * time.Second
)

// unusable is how many useless answers in a row are told of.
const unusable = 3

// state is what finds the workload again.
type state struct {
	Version   int             `json:"version"`
	Script    json.RawMessage `json:"script"` // as the script's start printed it
	N         int             `json:"n"`
	Output    string          `json:"output"`
	ClusterID string          `json:"cluster_id"`
	Profile   string          `json:"profile_dir"`
	Options   json.RawMessage `json:"options,omitempty"`
}

// Launcher is one workload of a script.
type Launcher struct {
	script *Script
	kind   sdk.Kind
	env    sdk.Host
	st     state         // made by Start or FromDict, then unchanged
	look   chan struct{} // holds one when Wait is to look at once

	mu      sync.Mutex
	running int // processes at the last look; 0: not known
}

var (
	_ sdk.Launcher         = (*Launcher)(nil)
	_ sdk.CapabilityFilter = (*Launcher)(nil)
	_ sdk.Waiter           = (*Launcher)(nil)
	_ sdk.Signaler         = (*Launcher)(nil)
	_ sdk.Outputter        = (*Launcher)(nil)
	_ sdk.Statuser         = (*Launcher)(nil)
)

// Has reports whether the script declares the capability.
func (l *Launcher) Has(p sdk.Capability) bool { return l.script.Info.Has(p) }

// plainName is what ids may look like, so that a script can use them in names of
// files and jobs.
var plainName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$`)

// request is what a verb gets on stdin.
type request struct {
	Verb        string            `json:"verb"`
	ID          string            `json:"id"`
	Kind        sdk.Kind          `json:"kind"`
	N           int               `json:"n"`
	ProfileDir  string            `json:"profile_dir"`
	ClusterID   string            `json:"cluster_id"`
	Tag         string            `json:"tag,omitempty"`
	Command     []string          `json:"command,omitempty"`
	Environment map[string]string `json:"environment,omitempty"`
	WorkDir     string            `json:"work_dir,omitempty"`
	Output      string            `json:"output"`
	Options     json.RawMessage   `json:"options,omitempty"`
	State       json.RawMessage   `json:"state,omitempty"`
	Signal      int               `json:"signal,omitempty"`
	Remove      bool              `json:"remove,omitempty"`
}

// Start runs the script's start to its end, whatever becomes of ctx: a start that
// is cut in the middle would leave what nobody knows.
func (l *Launcher) Start(ctx context.Context, r sdk.StartRequest) error {
	if err := l.check(r); err != nil {
		return err
	}
	l.st = state{
		Version: stateVersion, N: 1, ClusterID: r.ClusterID, Profile: r.ProfileDir, Options: r.Options,
		Output: filepath.Join(r.LogDir, strings.Join([]string{l.script.Info.Name, r.ClusterID, r.ID}, "-")+".log"),
	}
	if l.kind == sdk.Engine {
		l.st.N = r.Count(runtime.NumCPU())
	}
	in := l.request("start")
	in.Command, in.Environment, in.WorkDir, in.Tag = r.Command, r.Env, r.WorkDir, r.Tag
	env := l.environment(in)
	maps.Copy(env, r.Env)
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer cancel()
	out, err := l.script.run(limited, verb{name: in.Verb, args: r.Command, input: in, env: env, dir: r.WorkDir, log: l.env.Log})
	if err != nil {
		return err
	}
	var answer struct {
		State json.RawMessage `json:"state"`
	}
	if err := json.Unmarshal(out, &answer); err != nil || len(answer.State) == 0 || string(answer.State) == "null" {
		return fmt.Errorf("start printed %.100q, not {\"state\": ...}; what it started can't be found again", out)
	}
	l.st.Script = answer.State
	if err := ctx.Err(); err != nil {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
		defer cancel()
		return errors.Join(err, l.Stop(stop))
	}
	return nil
}

// check refuses what a script could not be expected to refuse.
func (l *Launcher) check(r sdk.StartRequest) error {
	if l.kind != sdk.Engine && r.N != nil && *r.N != 1 {
		return fmt.Errorf("%w: n is %d, a %s is one", sdk.ErrBadOption, *r.N, l.kind)
	}
	if !plainName.MatchString(r.ID) || r.ClusterID != "" && !plainName.MatchString(r.ClusterID) {
		return fmt.Errorf("%w: id %.50q, cluster id %.50q: want letters, digits, -, _ and dots", sdk.ErrBadOption, r.ID, r.ClusterID)
	}
	for name, value := range r.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0) {
			return fmt.Errorf("%w: environment variable %q", sdk.ErrBadOption, name)
		}
	}
	if slices.ContainsFunc(r.Command, func(word string) bool { return strings.ContainsRune(word, 0) }) {
		return fmt.Errorf("%w: the command holds a NUL", sdk.ErrBadOption)
	}
	return nil
}

// request is what every verb is told.
func (l *Launcher) request(verb string) request {
	return request{
		Verb: verb, ID: l.env.ID, Kind: l.kind, N: l.st.N, ProfileDir: l.st.Profile, ClusterID: l.st.ClusterID,
		Output: l.st.Output, Options: l.st.Options, State: l.st.Script,
	}
}

// environment is the same for a shell: a string arrives bare, anything else as
// JSON.
func (l *Launcher) environment(r request) map[string]string {
	env := map[string]string{
		"IPCORE_ID": r.ID, "IPCORE_KIND": string(r.Kind), "IPCORE_N": strconv.Itoa(r.N),
		"IPCORE_PROFILE_DIR": r.ProfileDir, "IPCORE_CLUSTER_ID": r.ClusterID, "IPCORE_WORK_DIR": r.WorkDir,
		"IPCORE_OUTPUT": r.Output, "IPCORE_STATE": bare(r.State),
	}
	var options map[string]json.RawMessage
	if len(r.Options) > 0 && json.Unmarshal(r.Options, &options) != nil {
		return env // the sdk has checked it
	}
	for name, value := range options {
		env["IPCORE_OPTION_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))] = bare(value)
	}
	return env
}

// bare returns a JSON string without quotes, and other JSON as it is.
func bare(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) == nil {
		return text
	}
	return string(value)
}

// do runs a verb on what was started.
func (l *Launcher) do(ctx context.Context, name string, change func(*request), args ...string) ([]byte, error) {
	limited, cancel := context.WithTimeout(ctx, verbTimeout)
	defer cancel()
	in := l.request(name)
	change(&in)
	env := l.environment(in)
	if in.Remove {
		env["IPCORE_REMOVE"] = "1"
	}
	return l.script.run(limited, verb{name: name, args: args, input: in, env: env, log: l.env.Log})
}

func unchanged(*request) {}

// ToDict returns the state.
func (l *Launcher) ToDict(context.Context) (sdk.State, error) { return sdk.NewState(l.st) }

// FromDict asks the script whether the workload of the state runs.
func (l *Launcher) FromDict(ctx context.Context, s sdk.State) error {
	var st state
	if err := s.Decode(&st); err != nil {
		return err
	}
	if st.Version < 1 || st.Version > stateVersion || len(st.Script) == 0 {
		return fmt.Errorf("%w: the state has version %d, this launcher reads %d", sdk.ErrBadOption, st.Version, stateVersion)
	}
	l.st = st
	now, err := l.ask(ctx)
	if err == nil && !now.Running {
		err = fmt.Errorf("%w: %s says so", sdk.ErrNotRunning, l.script.Info.Name)
	}
	return err
}

// answer is what the status verb prints.
type answer struct {
	Running  bool   `json:"running"`
	Pending  bool   `json:"pending"` // of what runs: it waits for its turn
	N        *int   `json:"n"`       // processes that run
	ExitCode *int   `json:"exit_code"`
	Signal   string `json:"signal"` // that ended it, by name
	Text     string `json:"text"`
}

// ask asks the script for the status.
func (l *Launcher) ask(ctx context.Context) (answer, error) {
	out, err := l.do(ctx, "status", unchanged)
	if err != nil {
		return answer{}, err
	}
	var a answer
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(out, &a); err != nil {
		return a, fmt.Errorf("status printed %.100q, which can't be read: %w", out, err)
	}
	if json.Unmarshal(out, &keys) != nil || keys["running"] == nil {
		return a, fmt.Errorf("status printed %.100q, without \"running\"", out)
	}
	return a, nil
}

// Stop runs the script's stop, and checks that nothing runs afterwards.
func (l *Launcher) Stop(ctx context.Context) error {
	if _, err := l.do(ctx, "stop", unchanged); err != nil && !errors.Is(err, sdk.ErrNotRunning) {
		return err
	}
	for limit := time.Now().Add(stopLimit); ; {
		now, err := l.ask(ctx)
		if errors.Is(err, sdk.ErrNotRunning) || err == nil && !now.Running {
			break
		}
		if err != nil {
			return err
		}
		if time.Now().After(limit) {
			return fmt.Errorf("stop succeeded, and %v later status tells that it runs", stopLimit)
		}
		if err := pause(ctx, stopPause); err != nil {
			return err
		}
	}
	select {
	case l.look <- struct{}{}:
	default:
	}
	return nil
}

// pause waits, and returns ctx's error when that ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Wait looks at intervals until the workload has ended.
func (l *Launcher) Wait(ctx context.Context) (sdk.Exit, error) {
	bad := 0
	for {
		now, err := l.ask(ctx)
		switch {
		case ctx.Err() != nil:
			return sdk.Exit{Code: -1}, ctx.Err()
		case errors.Is(err, sdk.ErrNotRunning):
			return sdk.Exit{Code: -1}, nil
		case err != nil:
			if bad++; bad == unusable {
				l.env.Changed(sdk.Change{Index: -1, Text: fmt.Sprintf("%d times in a row: %v", bad, err)})
			}
		case !now.Running:
			exit := sdk.Exit{Code: -1, Signal: now.Signal, Output: now.Text}
			if now.ExitCode != nil {
				exit.Code = *now.ExitCode
			}
			return exit, nil
		default:
			bad = 0
			l.counted(now.N)
		}
		t := time.NewTimer(l.script.poll)
		select {
		case <-t.C:
		case <-l.look:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// counted reports processes that have ended since the last look.
func (l *Launcher) counted(n *int) {
	if n == nil {
		return
	}
	l.mu.Lock()
	before := l.running
	l.running = *n
	l.mu.Unlock()
	if *n < before {
		l.env.Changed(sdk.Change{Index: -1, Text: fmt.Sprintf("%d run, of %d", *n, l.st.N)})
	}
}

// Status returns what the script's status prints.
func (l *Launcher) Status(ctx context.Context) (sdk.Status, error) {
	now, err := l.ask(ctx)
	if errors.Is(err, sdk.ErrNotRunning) {
		return sdk.Status{State: sdk.StatusStopped}, nil
	}
	if err != nil {
		return sdk.Status{}, err
	}
	st := sdk.Status{State: sdk.StatusStopped, Text: now.Text, Running: now.N, Total: new(l.st.N)}
	switch {
	case now.Running && now.Pending:
		st.State = sdk.StatusPending
	case now.Running:
		st.State = sdk.StatusRunning
	}
	return st, nil
}

// Signal runs the script's signal with the number.
func (l *Launcher) Signal(ctx context.Context, signal string) error {
	number, err := process.ParseSignal(signal)
	if err != nil {
		return err
	}
	now, err := l.ask(ctx)
	if errors.Is(err, sdk.ErrNotRunning) || err == nil && !now.Running {
		return fmt.Errorf("%w: it has ended", sdk.ErrProcessState)
	}
	if err != nil {
		return err
	}
	_, err = l.do(ctx, "signal", func(r *request) { r.Signal = int(number) }, strconv.Itoa(int(number)))
	return err
}

// Output returns what the script's output prints.
func (l *Launcher) Output(ctx context.Context, remove bool) (string, error) {
	out, err := l.do(ctx, "output", func(r *request) { r.Remove = remove })
	return string(out), err
}
