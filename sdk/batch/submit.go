package batch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ipcore/ipcore/sdk"
)

// write writes the script and the files that it reads.
func (j *Job) write() error {
	if err := os.MkdirAll(filepath.Dir(j.Path), 0o700); err != nil {
		return fmt.Errorf("%w: the script: %w", sdk.ErrBadOption, err)
	}
	if err := os.MkdirAll(filepath.Dir(j.Output), 0o700); err != nil {
		return fmt.Errorf("%w: output_file: %w", sdk.ErrBadOption, err)
	}
	err := writeAtomically(j.Path, j.Script, 0o700)
	if err == nil && j.Shell != "" {
		err = writeAtomically(j.ShellPath(), j.Shell, 0o700)
	}
	if text := j.privateEnv(); err == nil && text != "" {
		err = writeAtomically(privateFile(j.Path), text, 0o600)
	}
	if err != nil {
		removeScript(j.Path)
		return fmt.Errorf("%w: write the script: %w", sdk.ErrBadOption, err)
	}
	return nil
}

// writeAtomically replaces a file in one step.
func writeAtomically(name, text string, mode os.FileMode) error {
	temporary := fmt.Sprintf("%s.%d.new", name, os.Getpid())
	_ = os.Remove(temporary) // left by an earlier process with this pid
	err := os.WriteFile(temporary, []byte(text), mode)
	if err == nil {
		err = os.Rename(temporary, name)
	}
	if err != nil {
		_ = os.Remove(temporary) // it may not exist
	}
	return err
}

// removeScript removes a script and the files that it reads, as far as they exist.
func removeScript(script string) {
	_ = os.Remove(script)
	_ = os.Remove(shellFile(script))
	_ = os.Remove(privateFile(script))
}

// cleanLimit bounds how long cleaning up after a failed submission takes.
const cleanLimit = 20 * time.Second

// submit submits a job and returns its id. After an error nothing of the job is left,
// or the error says that this is not known.
func (l *Launcher) submit(ctx context.Context, j *Job) (string, error) {
	s := l.system
	c := command{words: j.SubmitCommand, option: "submit_command", dir: j.WorkDir, env: j.submitEnv(), limit: l.settings.commandLimit()}
	maps.Copy(c.env, s.SubmitEnv)
	if s.Stdin {
		c.stdin = j.Script
	}
	// The command runs to its end even if ctx ends: after an interrupted command it is
	// not known whether the system has accepted the job.
	out, _, err := s.run(context.WithoutCancel(ctx), c)
	var f *commandError
	if err != nil && !errors.As(err, &f) {
		return "", err // the command did not run
	}
	if err == nil {
		id := s.jobID(out, l.settings.JobIDRegexpGroup)
		if id != "" {
			return id, nil
		}
		err = fmt.Errorf("the output of %s has no job id that matches %s: %q", j.SubmitCommand[0], s.JobID, firstLines(strings.TrimSpace(out), 4))
	}
	// The system may have accepted the job nevertheless.
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanLimit)
	defer cancel()
	left := l.removeNamed(clean, j)
	kind := sdk.ErrBadOption
	if f == nil || f.down || f.code < 0 {
		kind = sdk.ErrUnknownStatus
	}
	if ctx.Err() != nil {
		kind = ctx.Err()
	}
	if left != nil {
		return "", fmt.Errorf("%w: %s did not accept the job: %w; it is not known whether a job named %q exists (%w): look for it with %s",
			kind, s.Title, err, j.Name, left, sdk.ShellQuote(s.expand(s.listCommand(), nil, "")...))
	}
	return "", fmt.Errorf("%w: %s did not accept the job: %w", kind, s.Title, err)
}

// jobID returns the job's id from the output of the submit command, or "".
func (s *System) jobID(out string, group int) string {
	if s.JobID == nil {
		return strings.TrimSpace(out)
	}
	m := s.JobID.FindStringSubmatch(out)
	switch {
	case m == nil:
		return ""
	case group > 0 && group < len(m):
		return m[group]
	case len(m) > 1:
		for _, g := range m[1:] {
			if g != "" {
				return g
			}
		}
	}
	return m[0]
}

// listCommand returns the command that lists all jobs of the user.
func (s *System) listCommand() []string {
	if len(s.List) > 0 {
		return s.List
	}
	return s.Query
}

// removeNamed deletes all jobs that have the name of j.
func (l *Launcher) removeNamed(ctx context.Context, j *Job) error {
	s := l.system
	if len(s.listCommand()) == 0 {
		return nil
	}
	records, err := s.query(ctx, s.listCommand(), nil, l.settings.commandLimit())
	if err != nil {
		return err
	}
	for _, r := range activeJobs(records, func(name string) bool { return sameName(name, j.Name) }) {
		l.host.Log.Warn("deleting a job that was accepted although its submission failed", "job_id", r.handle())
		if err := s.delete(ctx, r.handle(), l.settings.commandLimit()); err != nil {
			return err
		}
	}
	return nil
}

// activeJobs returns one record for each job that has not ended and whose name is
// wanted.
func activeJobs(records []Record, wanted func(name string) bool) []Record {
	var all []Record
	seen := map[string]bool{}
	for _, r := range records {
		if !r.State.Ended() && r.Name != "" && wanted(r.Name) && !seen[r.ID] {
			seen[r.ID] = true
			all = append(all, r)
		}
	}
	return all
}

// delete runs the delete command. It returns nil when the system does not know the job
// or the job has ended.
func (s *System) delete(ctx context.Context, id string, limit time.Duration) error {
	if len(s.Delete) == 0 {
		return fmt.Errorf("%w: --%sLauncher.delete_command is not set", sdk.ErrBadOption, s.Class)
	}
	_, _, err := s.run(ctx, command{words: s.expand(s.Delete, nil, id), option: "delete_command", limit: limit})
	var f *commandError
	if errors.As(err, &f) && (f.gone || f.ended) {
		return nil
	}
	return err
}
