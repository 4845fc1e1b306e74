// Command queue is a launcher for tests: a simulated batch system with few slots. Files in
// the folder QUEUE_DIR are its conditions:
//
//	down      the system can't be asked
//	cancelled all jobs were canceled; the content says by whom
//	lost      the system no longer knows the jobs
//	slow      jobs end only after a signal, which the system reports it can't send
//	broken    the launcher panics when it has to find jobs again
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

type options struct {
	Queue    string         `json:"queue"`
	Slots    *int           `json:"slots"`
	Password string         `json:"password"`
	Args     []string       `json:"args"`
	Hosts    map[string]any `json:"hosts"`
	Far      bool           `json:"far"`
}

type state struct {
	process.GroupState
	Pending int `json:"pending"`
}

type job struct {
	process.Group
	process.OrphanFinder
	kind    sdk.Kind
	pending int
	remote  string // the profile on the machine without a shared file system
}

func condition(name string) (string, bool) {
	text, err := os.ReadFile(filepath.Join(process.Getenv("QUEUE_DIR"), name))
	return strings.TrimSpace(string(text)), err == nil
}

func (j *job) Start(ctx context.Context, r sdk.StartRequest) error {
	var o options
	if err := r.DecodeOptions(&o); err != nil {
		return err
	}
	if o.Queue == "wrong" {
		return fmt.Errorf("%w: submit: invalid partition specified: wrong", sdk.ErrBadOption)
	}
	seen, err := json.Marshal(map[string]any{"options": r.Options, "tag": r.Tag, "client": r.ClientFile, "engine": r.EngineFile, "command": r.Command, "env": r.Env, "profile": r.ProfileDir, "cluster": r.ClusterID, "n": r.N, "keep": r.KeepConnectionFiles})
	if err == nil {
		err = os.WriteFile(filepath.Join(process.Getenv("QUEUE_DIR"), "seen-"+string(r.Kind)), seen, 0o600)
	}
	if err != nil {
		return err
	}
	n := r.Count(1)
	slots := n
	if o.Slots != nil && j.kind == sdk.Engine {
		slots = min(n, *o.Slots)
	}
	j.pending = n - slots
	if o.Far {
		j.remote = r.ProfileDir + "-far"
		if err := os.MkdirAll(filepath.Join(j.remote, "security"), 0o700); err != nil {
			return err
		}
		r.Env["IPP_PROFILE_DIR"] = j.remote
		for i, word := range r.Command {
			r.Command[i] = strings.ReplaceAll(word, r.ProfileDir, j.remote)
		}
	}
	for i := range slots {
		p, err := process.Start(process.Options{Command: r.Command, Env: r.Env, OutputFile: fmt.Sprintf("%s/queue-%s-%d.log", r.LogDir, r.ID, i)})
		if err != nil {
			return errors.Join(err, j.Stop(ctx))
		}
		j.Processes = append(j.Processes, p)
	}
	return nil
}

func (j *job) Stop(ctx context.Context) error {
	for _, slow := condition("slow"); slow; _, slow = condition("slow") {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return j.Group.Stop(ctx)
}

func (j *job) Signal(context.Context, string) error {
	if _, slow := condition("slow"); !slow {
		return sdk.ErrUnsupported
	}
	return errors.Join(errors.New("no node answers"), os.Remove(filepath.Join(process.Getenv("QUEUE_DIR"), "slow")))
}

func (j *job) ToDict(context.Context) (sdk.State, error) {
	return sdk.NewState(state{j.State(), j.pending})
}

func (j *job) FromDict(_ context.Context, s sdk.State) error {
	var st state
	if err := s.Decode(&st); err != nil {
		return err
	}
	if _, down := condition("down"); down {
		return fmt.Errorf("%w: the controller of the queue does not answer", sdk.ErrUnknownStatus)
	}
	if _, broken := condition("broken"); broken {
		panic("the launcher is broken")
	}
	if _, lost := condition("lost"); lost {
		return fmt.Errorf("%w: invalid job id", sdk.ErrNotRunning)
	}
	j.pending = st.Pending
	if len(st.Processes) == 0 {
		return nil
	}
	return j.Attach(st.GroupState)
}

func (j *job) Wait(ctx context.Context) (sdk.Exit, error) {
	for {
		if by, cancelled := condition("cancelled"); cancelled && j.kind == sdk.Engine {
			return sdk.Exit{Code: -1, Reason: "CANCELLED by " + by}, j.Stop(ctx)
		}
		select {
		case <-ctx.Done():
			return sdk.Exit{Code: -1}, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
		alive := slices.ContainsFunc(j.Processes, func(p *process.Process) bool { return p.Alive() })
		if !alive && (len(j.Processes) > 0 || j.pending == 0) {
			if _, cancelled := condition("cancelled"); cancelled && j.kind == sdk.Engine {
				continue // that is why they have ended
			}
			return j.Group.Wait(ctx)
		}
	}
}

func (j *job) Status(context.Context) (sdk.Status, error) {
	if _, down := condition("down"); down {
		return sdk.Status{}, fmt.Errorf("%w: the controller of the queue does not answer", sdk.ErrUnknownStatus)
	}
	running := 0
	for _, p := range j.Processes {
		if p.Alive() {
			running++
		}
	}
	total := len(j.Processes) + j.pending
	st := sdk.Status{State: sdk.StatusRunning, Running: &running, Pending: &j.pending, Total: &total}
	switch {
	case j.pending > 0:
		st.Text = "(Resources)"
		if running == 0 {
			st.State = sdk.StatusPending
		}
	case running == 0:
		st.State = sdk.StatusStopped
	}
	return st, nil
}

func (j *job) Script(_ context.Context, r sdk.StartRequest, check bool) (sdk.Script, error) {
	var o options
	if err := r.DecodeOptions(&o); err != nil {
		return sdk.Script{}, err
	}
	s := sdk.Script{Command: "submit job", Text: fmt.Sprintf("#!/bin/sh\n#Q queue=%s n=%d\n%s\n", o.Queue, r.Count(1), strings.Join(r.Command, " "))}
	if check {
		s.Answer = "it would start at once"
		if o.Queue == "wrong" {
			return s, fmt.Errorf("%w: submit: invalid partition specified: wrong", sdk.ErrBadOption)
		}
	}
	return s, nil
}

func (j *job) ConnectionInfo(ctx context.Context) (sdk.ConnectionInfo, error) {
	var info sdk.ConnectionInfo
	if j.remote == "" {
		return info, fmt.Errorf("%w: the files are in the profile", sdk.ErrUnsupported)
	}
	for {
		for kind, to := range map[string]*json.RawMessage{"client": &info.Client, "engine": &info.Engine} {
			files, err := filepath.Glob(filepath.Join(j.remote, "security", "ipcontroller-*"+kind+".json"))
			if err == nil && len(files) == 1 {
				*to, _ = os.ReadFile(files[0])
			}
		}
		if len(info.Client) > 0 && len(info.Engine) > 0 {
			return info, nil
		}
		select {
		case <-ctx.Done():
			return info, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func main() {
	engines := []sdk.Kind{sdk.Engine}
	sdk.Serve(sdk.Info{
		Name: "queue", Version: "1.0.0", Kinds: []sdk.Kind{sdk.Controller, sdk.Engine}, Remote: true,
		Classes: map[sdk.Kind][]string{
			sdk.Controller: {"QueueControllerLauncher", "QueueLauncher", "BatchSystemLauncher"},
			sdk.Engine:     {"QueueEngineSetLauncher", "QueueLauncher", "BatchSystemLauncher"},
		},
		Options: []sdk.Option{
			{Name: "queue", Type: sdk.TypeString, Help: "where jobs wait"},
			{Name: "slots", Type: sdk.TypeInt, Help: "how many run at once", Kinds: engines},
			{Name: "password", Type: sdk.TypeString, Help: "of the queue", Secret: true},
			{Name: "args", Type: sdk.TypeList, Help: "more arguments"},
			{Name: "hosts", Type: sdk.TypeMap, Help: "hosts and how many", Kinds: engines},
			{Name: "far", Type: sdk.TypeBool, Help: "share no files", Kinds: []sdk.Kind{sdk.Controller}},
		},
	}, func(k sdk.Kind, _ sdk.Host) sdk.Launcher { return &job{kind: k} })
}
