package ssh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ipcore/ipcore/sdk"
)

// orphanID identifies a process for RemoveOrphans; an Orphan's ID is its JSON.
type orphanID struct {
	Target target `json:"target"`
	PID    int    `json:"pid"`
	Birth  string `json:"birth"`
}

// Orphans returns the processes with the query's tag on the hosts of the states and of
// the options.
func (l *Launcher) Orphans(ctx context.Context, q sdk.OrphanQuery) ([]sdk.Orphan, error) {
	targets := make(map[string]target)
	for _, raw := range q.States {
		var s state
		if err := raw.Decode(&s); err != nil {
			return nil, err
		}
		machines, err := s.machines()
		if err != nil {
			return nil, err
		}
		for _, m := range machines {
			targets[m.target.name()] = m.target
		}
	}
	o, err := readOptions(sdk.StartRequest{Options: q.Options})
	if err != nil {
		return nil, err
	}
	if places, err := o.places(nil); err == nil { // otherwise the options name no host
		for _, at := range places {
			if _, known := targets[at.target.name()]; !known {
				targets[at.target.name()] = at.target.lasting()
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(targets)) {
		l.machines = append(l.machines, &machine{target: targets[name]})
	}
	found := make([][]sdk.Orphan, len(l.machines))
	err = l.each(func(i int, m *machine) error {
		defer m.target.letGo(context.WithoutCancel(ctx))
		lines, err := m.target.call(ctx, sweepScript+"marked "+sdk.EnvTag+"\n")
		if err != nil {
			return err
		}
		for _, line := range lines {
			words := strings.SplitN(line, " ", 5)
			if len(words) < 4 || words[0] != "marked" || !q.Covers(words[3]) {
				continue
			}
			pid, err := strconv.Atoi(words[1])
			if err != nil {
				continue
			}
			id, err := json.Marshal(orphanID{m.target, pid, words[2]})
			if err != nil {
				return err
			}
			found[i] = append(found[i], sdk.Orphan{
				ID: string(id), Tag: words[3],
				Text: fmt.Sprintf("process %d on %s: %s", pid, m.target.name(), strings.TrimSpace(strings.Join(words[4:], " "))),
			})
		}
		return nil
	})
	if err != nil {
		err = fmt.Errorf("%w: %w", sdk.ErrUnknownStatus, err)
	}
	return slices.Concat(found...), err
}

// RemoveOrphans ends processes that Orphans returned.
func (l *Launcher) RemoveOrphans(ctx context.Context, _ sdk.OrphanQuery, orphans []sdk.Orphan) error {
	scripts := make(map[string]string)
	targets := make(map[string]target)
	for _, s := range orphans {
		var one orphanID
		err := json.Unmarshal([]byte(s.ID), &one)
		if err == nil {
			err = errors.Join(one.Target.check(), one.Target.locate())
		}
		if err != nil || one.PID <= 1 || one.Birth == "" {
			return fmt.Errorf("%w: %.80q is not the id of an orphan", sdk.ErrBadOption, s.ID)
		}
		name := one.Target.name()
		targets[name] = one.Target
		scripts[name] += fmt.Sprintf("remove %d %s &\n", one.PID, sdk.ShellQuote(one.Birth))
	}
	for _, name := range slices.Sorted(maps.Keys(targets)) {
		l.machines = append(l.machines, &machine{target: targets[name], key: name})
	}
	return l.each(func(_ int, m *machine) error {
		defer m.target.letGo(context.WithoutCancel(ctx))
		lines, err := m.target.call(ctx, sweepScript+scripts[m.key]+"wait\n")
		if err == nil && len(lines) > 0 {
			err = fmt.Errorf("%s: processes are still there after SIGKILL: %s", m.target.name(), strings.Join(lines, "; "))
		}
		return err
	})
}
