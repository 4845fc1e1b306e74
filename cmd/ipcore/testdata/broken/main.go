// Command broken is a launcher with one fault, named by the name of its
// executable: ipcore-launcher-<fault>. It shows that the conformance checks find it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

// fault is the name of what is wrong with this launcher.
var fault = strings.TrimPrefix(filepath.Base(os.Args[0]), "ipcore-launcher-")

// hostOut and hostErr are the streams that the host gave; the sdk replaces os.Stdout
// and os.Stderr.
var hostOut, hostErr = os.NewFile(1, "stdout"), os.NewFile(2, "stderr")

func info() sdk.Info {
	i := sdk.Info{Name: fault, Version: "1", Kinds: []sdk.Kind{sdk.Engine}, PollEvery: time.Second}
	if fault == "helpless" {
		i.Options = []sdk.Option{{Name: "speed", Type: "int", Default: []byte(`"fast"`)}}
	}
	return i
}

func main() {
	if fault == "hello" {
		fmt.Println("hello")
	}
	launcher := func(_ sdk.Kind, env sdk.Host) sdk.Launcher { return newBroken(env) }
	switch fault {
	case "stutters", "promises", "clings", "open", "claims", "loose", "vague":
		serveTampered(info(), launcher)
	default:
		sdk.Serve(info(), launcher)
	}
}

// broken is a launcher like examples/mine, with all capabilities and the fault.
type broken struct {
	process.Group
	env    map[string]string // of the workload
	log    string
	stop   chan struct{}
	ending bool
}

func newBroken(env sdk.Host) sdk.Launcher {
	b := &broken{Group: process.Group{Changed: env.Changed}, stop: make(chan struct{})}
	if fault == "promises" {
		return &basic{b}
	}
	return &full{b}
}

// basic has no optional capabilities but Wait.
type basic struct{ *broken }

// full has all of them.
type full struct{ *broken }

func (b *broken) Start(ctx context.Context, r sdk.StartRequest) error {
	n := 1
	if r.N != nil || fault == "panics" {
		n = *r.N
	}
	b.env, b.log = r.Env, filepath.Join(r.LogDir, "broken.log")
	o := process.Options{Command: r.Command, Env: r.Env, Dir: r.WorkDir, OutputFile: b.log}
	switch fault {
	case "chatters":
		fmt.Fprintln(hostOut, "starting", n)
	case "swallows":
		o.Env = nil
	case "glues":
		o.Command = []string{"/bin/sh", "-c", strings.Join(quoteFirst(r.Command), " ")}
	case "telltale":
		o.Command = []string{"/bin/sh", "-c", `"$@"; exit $?`, "SECRET=" + r.Env["IPCORE_CONFORMANCE_SECRET"]}
		o.Command = append(o.Command, r.Command...)
	case "inherits":
		cmd := exec.Command("sleep", "10") // longer than the checks wait
		cmd.Stderr, cmd.SysProcAttr = hostErr, &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			return err
		}
	}
	for range n {
		p, err := process.Start(o)
		if err != nil && fault == "litters" {
			o.Command = []string{"sleep", "600"}
			_, startErr := process.Start(o)
			return errors.Join(err, startErr)
		}
		if err != nil {
			return errors.Join(err, b.Group.Stop(ctx))
		}
		b.Processes = append(b.Processes, p)
	}
	return nil
}

// quoteFirst quotes the first three words of a command, and not the last ones.
func quoteFirst(command []string) []string {
	out := append([]string{}, command...)
	for i := range out {
		if i < 3 {
			out[i] = "'" + strings.ReplaceAll(out[i], "'", `'\''`) + "'"
		}
	}
	return out
}

func (b *broken) Stop(ctx context.Context) error {
	if !b.ending {
		b.ending = true
		close(b.stop)
	}
	if fault == "polite" {
		for _, p := range b.Processes {
			_ = p.Signal("TERM") // it may have ended
		}
		time.Sleep(300 * time.Millisecond)
		return nil
	}
	return b.Group.Stop(ctx)
}

func (b *broken) Wait(ctx context.Context) (sdk.Exit, error) {
	if fault == "blind" {
		select {
		case <-b.stop:
		case <-ctx.Done():
			return sdk.Exit{Code: -1}, ctx.Err()
		}
	}
	return b.Group.Wait(ctx)
}

// state is the state of a workload.
type state struct {
	process.GroupState
	Log string            `json:"log"`
	Env map[string]string `json:"env,omitempty"`
}

func (b *broken) ToDict(context.Context) (sdk.State, error) {
	st := state{GroupState: b.State(), Log: b.log}
	if fault == "blabs" {
		st.Env = b.env
	}
	return sdk.NewState(st)
}

func (b *broken) FromDict(_ context.Context, s sdk.State) error {
	var st state
	if err := s.Decode(&st); err != nil {
		return err
	}
	b.log = st.Log
	if fault == "believes" && st.Log != "" {
		_ = b.Attach(st.GroupState) // the fault is to ignore its result
		return nil
	}
	if fault == "ageless" {
		st.Version = 1
	}
	return b.Attach(st.GroupState)
}

func (b *full) Status(context.Context) (sdk.Status, error) {
	if fault == "waits" {
		return sdk.Status{State: sdk.StatusPending}, nil
	}
	running := 0
	for _, p := range b.Processes {
		if p.Alive() {
			running++
		}
	}
	if running == 0 {
		return sdk.Status{State: sdk.StatusStopped}, nil
	}
	return sdk.Status{State: sdk.StatusRunning, Running: &running}, nil
}

func (b *full) Output(_ context.Context, remove bool) (string, error) {
	text, err := os.ReadFile(b.log)
	if err != nil || fault == "mute" {
		return "", nil
	}
	if remove {
		err = os.Remove(b.log)
	}
	return string(text[max(0, len(text)-1000):]), err
}

func (b *full) Signal(_ context.Context, signal string) error {
	err := fmt.Errorf("%w: all have ended", sdk.ErrProcessState)
	for i, p := range b.Processes {
		if i > 0 && fault == "first" {
			break
		}
		if e := p.Signal(signal); !errors.Is(e, sdk.ErrProcessState) {
			err = e
		}
	}
	return err
}
