package cluster

import (
	"context"
	"fmt"

	"github.com/ipcore/ipcore/core/launch/settings"
	"github.com/ipcore/ipcore/sdk"
)

// Script is what Start would submit for one kind.
type Script struct {
	Launcher string   `json:"launcher"`
	Kind     sdk.Kind `json:"kind"`
	Command  string   `json:"command"`          // lines for a shell
	Text     string   `json:"text,omitempty"`   // the file, byte for byte
	Answer   string   `json:"answer,omitempty"` // with check: the system's reply
}

// Scripts returns what Start would submit for the kinds, and changes nothing. With check,
// the systems are asked whether they would accept it.
func (c *Cluster) Scripts(ctx context.Context, check bool, kinds ...sdk.Kind) ([]Script, error) {
	if err := c.findLaunchers(ctx); err != nil {
		return nil, err
	}
	var all []Script
	for _, kind := range kinds {
		selection, id, request := c.engineSelection, "1", c.engineRequest
		if kind == sdk.Controller {
			selection, id, request = c.controllerSelection, controllerID, func(string) (sdk.StartRequest, error) { return c.controllerRequest() }
		}
		r, err := request(id)
		if err != nil {
			return nil, err
		}
		s, err := c.script(ctx, selection, r, check)
		if err != nil {
			return nil, err
		}
		all = append(all, Script{selection.Executable.Name, kind, s.Command, s.Text, s.Answer})
	}
	return all, nil
}

func (c *Cluster) script(ctx context.Context, selection *settings.Selection, r sdk.StartRequest, check bool) (sdk.Script, error) {
	if !selection.Executable.Info.Has(sdk.CapabilityScript) {
		return sdk.Script{}, fmt.Errorf("launcher %q can't show what it would submit: %w", selection.Executable.Name, sdk.ErrUnsupported)
	}
	p, err := c.processOf(selection.Executable).running(ctx)
	if err != nil {
		return sdk.Script{}, err
	}
	return p.Workload(r.Kind, r.ID).Script(ctx, r, check)
}
