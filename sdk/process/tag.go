package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/ipcore/ipcore/sdk"
)

// Sweeper finds the user's processes on this machine by their tag. A launcher of
// local processes that embeds it has the power to sweep.
type Sweeper struct{}

var _ sdk.Sweeper = Sweeper{}

// Survivors answers the processes with a tag in their environment.
// sdk.ErrUnsupported: the system does not show environments.
func (Sweeper) Survivors(_ context.Context, q sdk.Sweep) ([]sdk.Survivor, error) {
	found, err := tagged(q.Covers)
	if err != nil {
		return nil, err
	}
	out := make([]sdk.Survivor, 0, len(found))
	for _, f := range found {
		id, err := json.Marshal(f.state)
		if err != nil {
			return nil, fmt.Errorf("write a process's state: %w", err)
		}
		out = append(out, sdk.Survivor{ID: string(id), Tag: f.tag, Text: fmt.Sprintf("process %d: %s", f.state.PID, f.command)})
	}
	return out, nil
}

// Remove ends the processes, all at the same time, with the default grace.
func (Sweeper) Remove(ctx context.Context, _ sdk.Sweep, survivors []sdk.Survivor) error {
	errs := make([]error, len(survivors))
	var group sync.WaitGroup
	for i, s := range survivors {
		var st State
		if err := json.Unmarshal([]byte(s.ID), &st); err != nil || st.PID <= 0 || st.CreateTime == 0 {
			errs[i] = fmt.Errorf("%w: survivor %.80q", sdk.ErrBadOption, s.ID)
			continue
		}
		p, err := Attach(st)
		if err != nil {
			if !errors.Is(err, sdk.ErrNotRunning) {
				errs[i] = err
			}
			continue
		}
		group.Go(func() { errs[i] = p.Stop(ctx, DefaultGrace) })
	}
	group.Wait()
	return errors.Join(errs...)
}

// taggedProcess is a process that carries a tag.
type taggedProcess struct {
	state   State
	tag     string
	command string
}

// tagIn answers the tag in an environment, "" if there is none.
func tagIn(environ string) string {
	for kv := range strings.SplitSeq(environ, "\x00") {
		if tag, ok := strings.CutPrefix(kv, sdk.EnvTag+"="); ok {
			return tag
		}
	}
	return ""
}
