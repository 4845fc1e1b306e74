package batch

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ipcore/ipcore/sdk"
)

// Script returns the script that Start would submit, and the command. With check it
// asks the system whether it would accept the job.
func (l *Launcher) Script(ctx context.Context, r sdk.StartRequest, check bool) (sdk.Script, error) {
	if err := l.configure(ctx, r.Options); err != nil {
		return sdk.Script{}, err
	}
	s := l.system
	j, err := s.plan(r, l.settings)
	if err != nil {
		return sdk.Script{}, err
	}
	out := sdk.Script{Text: j.Script, Command: sdk.ShellQuote(j.SubmitCommand...)}
	if j.Shell != "" {
		out.Text += "# the file that it runs: " + j.ShellPath() + "\n" + j.Shell
	}
	if s.Stdin {
		out.Command += " < " + sdk.ShellQuote(j.Path)
	}
	for _, w := range j.Warnings {
		out.Command += "\n# " + w
	}
	if !check {
		return out, nil
	}
	if len(s.Check) == 0 {
		return sdk.Script{}, fmt.Errorf("%w: %s has no command that checks whether it would accept a job", sdk.ErrUnsupported, s.Title)
	}
	words := append([]string(nil), s.Check...)
	if j.Template != "" {
		// The arguments that the submit command would get.
		if at := len(j.SubmitCommand) - len(s.Submit); at > 1 {
			words = append(words, j.SubmitCommand[1:at]...)
		}
	}
	stdout, stderr, err := s.run(ctx, command{words: words, option: "submit_command", dir: j.WorkDir, env: j.Env, stdin: j.Script, limit: l.settings.commandLimit()})
	var f *commandError
	switch {
	case errors.As(err, &f) && (f.down || f.code < 0):
		return sdk.Script{}, s.unreachable(err)
	case errors.As(err, &f):
		return sdk.Script{}, fmt.Errorf("%w: %s would not accept the job: %w", sdk.ErrBadOption, s.Title, err)
	case err != nil:
		return sdk.Script{}, err
	}
	out.Answer = strings.TrimSpace(stdout + stderr)
	return out, nil
}
