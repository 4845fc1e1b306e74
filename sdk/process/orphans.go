package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/ipcore/ipcore/sdk"
)

// OrphanFinder finds the user's processes on this machine by their tag. A launcher of
// local processes that embeds it is an sdk.OrphanFinder.
type OrphanFinder struct{}

var _ sdk.OrphanFinder = OrphanFinder{}

// Orphans returns the processes that have a tag in their environment. The error wraps
// sdk.ErrUnsupported when the operating system does not show environments.
func (OrphanFinder) Orphans(_ context.Context, q sdk.OrphanQuery) ([]sdk.Orphan, error) {
	found, err := FindByEnv(sdk.EnvTag, q.Covers)
	if err != nil {
		return nil, err
	}
	out := make([]sdk.Orphan, 0, len(found))
	for _, f := range found {
		id, err := json.Marshal(f.State)
		if err != nil {
			return nil, fmt.Errorf("encode a process's state: %w", err)
		}
		out = append(out, sdk.Orphan{ID: string(id), Tag: f.Environ[sdk.EnvTag], Text: fmt.Sprintf("process %d: %s", f.State.PID, f.Command)})
	}
	return out, nil
}

// RemoveOrphans ends the processes, all at the same time, each as Process.Stop with
// DefaultGrace.
func (OrphanFinder) RemoveOrphans(ctx context.Context, _ sdk.OrphanQuery, orphans []sdk.Orphan) error {
	errs := make([]error, len(orphans))
	var group sync.WaitGroup
	for i, s := range orphans {
		var st State
		if err := json.Unmarshal([]byte(s.ID), &st); err != nil || st.PID <= 0 || st.CreateTime == 0 {
			errs[i] = fmt.Errorf("%w: orphan id %.80q is not valid", sdk.ErrBadOption, s.ID)
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
