package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/ipcore/ipcore/sdk"
)

// Sweeper finds the user's processes on this machine by their tag. A launcher of
// local processes that embeds it has the power to sweep.
type OrphanFinder struct{}

var _ sdk.OrphanFinder = OrphanFinder{}

// Survivors answers the processes with a tag in their environment.
// sdk.ErrUnsupported: the system does not show environments.
func (OrphanFinder) Orphans(_ context.Context, q sdk.OrphanQuery) ([]sdk.Orphan, error) {
	found, err := FindByEnv(sdk.EnvTag, q.Covers)
	if err != nil {
		return nil, err
	}
	out := make([]sdk.Orphan, 0, len(found))
	for _, f := range found {
		id, err := json.Marshal(f.State)
		if err != nil {
			return nil, fmt.Errorf("write a process's state: %w", err)
		}
		out = append(out, sdk.Orphan{ID: string(id), Tag: f.Environ[sdk.EnvTag], Text: fmt.Sprintf("process %d: %s", f.State.PID, f.Command)})
	}
	return out, nil
}

// Remove ends the processes, all at the same time, with the default grace.
func (OrphanFinder) RemoveOrphans(ctx context.Context, _ sdk.OrphanQuery, survivors []sdk.Orphan) error {
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
