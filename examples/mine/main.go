// Command ipcore-launcher-mine is a whole launcher: it starts engines as
// processes of this machine. The README says how to build and use it.
package main

import (
	"context"
	"errors"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

type mine struct{ process.Group } // has Stop and Wait

func (m *mine) Start(ctx context.Context, r sdk.StartRequest) error {
	for range r.Count(1) {
		p, err := process.Start(process.Options{Command: r.Command, Env: r.Env, Dir: r.WorkDir, OutputFile: r.LogDir + "/mine-" + r.ID + ".log"})
		if err != nil {
			return errors.Join(err, m.Stop(ctx))
		}
		m.Processes = append(m.Processes, p)
	}
	return nil
}

func (m *mine) ToDict(context.Context) (sdk.State, error) { return sdk.NewState(m.State()) }

func (m *mine) FromDict(_ context.Context, s sdk.State) error {
	var st process.GroupState
	if err := s.Decode(&st); err != nil {
		return err
	}
	return m.Attach(st)
}

func main() {
	sdk.Serve(sdk.Info{Name: "mine", Version: "1.0.0", Kinds: []sdk.Kind{sdk.Engine}},
		func(_ sdk.Kind, env sdk.Host) sdk.Launcher { return &mine{process.Group{Changed: env.Changed}} })
}
