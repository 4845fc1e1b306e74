package batch

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/ipcore/ipcore/sdk"
)

// Orphans returns the user's jobs whose comment or name contains a tag that q covers,
// and those that a state names.
func (l *Launcher) Orphans(ctx context.Context, q sdk.OrphanQuery) ([]sdk.Orphan, error) {
	records, err := l.tagged(ctx, q)
	var all []sdk.Orphan
	for _, r := range records {
		text := fmt.Sprintf("%s job %s: %s, %s", l.system.Title, r.handle(), r.Name, r.State)
		if r.Reason != "" {
			text += " (" + r.Reason + ")"
		}
		all = append(all, sdk.Orphan{ID: r.ID + "/" + r.Name, Tag: r.Comment, Text: text})
	}
	return all, err
}

// tagged returns one record for each job that q looks for, with its tag as the
// Comment.
func (l *Launcher) tagged(ctx context.Context, q sdk.OrphanQuery) ([]Record, error) {
	if err := l.configure(ctx, q.Options); err != nil {
		return nil, err
	}
	s := l.system
	if len(q.States) == 0 && len(q.Options) == 0 && !s.installed() {
		return nil, fmt.Errorf("%w: %s is not installed on this machine", sdk.ErrUnsupported, s.Title)
	}
	if len(s.listCommand()) == 0 {
		return nil, fmt.Errorf("%w: --%sLauncher.status_command is not set, so jobs can't be listed", sdk.ErrUnknownStatus, s.Class)
	}
	// Jobs of the states are also found by their name, because a template may have set
	// a name that does not contain the tag.
	names := map[string]string{}
	for _, raw := range q.States {
		var st state
		if raw.Decode(&st) == nil && st.JobID != "" && q.Covers(st.Tag) {
			names[l.listedID(st.JobID)+"/"+st.JobName] = st.Tag
		}
	}
	records, err := s.query(ctx, s.listCommand(), nil, l.settings.commandLimit())
	if err != nil {
		return nil, s.unreachable(err)
	}
	var all []Record
	seen := map[string]bool{}
	for _, r := range records {
		tag := tagOf(r)
		if !q.Covers(tag) {
			tag = names[r.ID+"/"+r.Name]
		}
		if tag == "" || r.State.Ended() || seen[r.ID] {
			continue
		}
		seen[r.ID] = true
		r.Comment = tag
		all = append(all, r)
	}
	return all, nil
}

// installed reports whether the command that lists jobs exists.
func (s *System) installed() bool {
	command := s.listCommand()
	if len(command) == 0 {
		return false
	}
	_, err := exec.LookPath(command[0])
	return err == nil
}

func (l *Launcher) listedID(id string) string {
	if l.system.ListedID != nil {
		return l.system.ListedID(id)
	}
	return id
}

// RemoveOrphans deletes jobs, and returns when the system no longer lists them.
func (l *Launcher) RemoveOrphans(ctx context.Context, q sdk.OrphanQuery, orphans []sdk.Orphan) error {
	if err := l.configure(ctx, q.Options); err != nil {
		return err
	}
	s := l.system
	wanted := map[string]bool{}
	for _, v := range orphans {
		wanted[v.ID] = true
	}
	pause, asked := time.Second/2, map[string]time.Time{}
	for {
		records, err := s.query(ctx, s.listCommand(), nil, l.settings.commandLimit())
		if err != nil {
			return s.unreachable(err)
		}
		left := activeJobs(records, func(string) bool { return true })
		var ids []string
		var errs []error
		for _, r := range left {
			if !wanted[r.ID+"/"+r.Name] {
				continue
			}
			ids = append(ids, r.ID)
			if time.Since(asked[r.ID]) > 10*time.Second {
				asked[r.ID] = time.Now()
				errs = append(errs, s.delete(ctx, r.handle(), l.settings.commandLimit()))
			}
		}
		if err := errors.Join(errs...); err != nil {
			return err
		}
		if len(ids) == 0 {
			return nil
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, 2*time.Second)
		case <-ctx.Done():
			return fmt.Errorf("%w: %s still has job %s", ctx.Err(), s.Title, strings.Join(ids, ", "))
		}
	}
}
