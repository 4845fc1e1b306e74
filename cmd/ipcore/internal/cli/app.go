// Package cli is the frame that ipcore's commands run in, on top of cobra: how a
// command line is read, help, completion, streams, listings, progress, log lines,
// and errors with their exit codes.
package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ipcore/ipcore/cmd/ipcore/internal/traits"
	"github.com/ipcore/ipcore/core/launch/settings"
	"github.com/ipcore/ipcore/internal/nearest"
)

// NoEffect is the usage text of options that IPython Parallel's programs have and
// that do nothing here. Using one prints a warning.
const NoEffect = "accepted; without effect"

// A Command is one of cobra's commands, with what ipcore adds. Its constructor
// binds flags to an options struct; RunE works from that struct and the remaining
// arguments alone.
type Command struct {
	*cobra.Command

	// Traits maps names of IPython Parallel's configuration to flags of this
	// command. A command with a table accepts any other --Class.trait=value with a
	// warning; nil refuses them.
	Traits traits.Table

	// Launchers has settings of launchers collected in Settings: --Class.trait=value
	// and --name.option=value from the command line, and those of configuration files.
	Launchers bool
	Settings  []settings.Setting

	// Line is the command line without the settings of launchers.
	Line []string

	// HelpAll prints what --help-all adds to the help; nil for nothing.
	HelpAll func(ctx context.Context) error
}

// NewCommand returns a command with the flags that every command has.
func NewCommand(c *cobra.Command) *Command {
	c.DisableFlagsInUseLine = true
	fs := c.Flags()
	fs.SortFlags = false
	fs.BoolP("help", "h", false, "show this help")
	fs.Bool("help-all", false, "show this help")
	command := &Command{Command: c}
	command.Hide("help-all")
	return command
}

// Hide leaves flags out of help and completion.
func (c *Command) Hide(names ...string) {
	for _, name := range names {
		c.Flags().Lookup(name).Hidden = true
	}
}

// NoArguments refuses arguments of a command that takes none.
func NoArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return UsageError(fmt.Sprintf("unexpected argument %q", args[0]), "options begin with a dash; arguments for the controller come after --")
	}
	return nil
}

// An App is the program: its streams and its commands.
type App struct {
	*Streams
	root     *cobra.Command
	commands []*Command // in the order of the help text
}

// NewApp returns the program with the commands that the constructors make.
func NewApp(s *Streams, constructors ...func(*App) *Command) *App {
	cobra.MousetrapHelpText = "" // a start from Windows' Explorer is like any other
	a := &App{Streams: s, root: &cobra.Command{Use: "ipcore", SilenceErrors: true, SilenceUsage: true}}
	a.root.CompletionOptions.DisableDefaultCmd = true // there is one with texts of our own
	a.root.SetOut(s.Out)
	a.root.SetErr(s.Err)
	a.root.SetFlagErrorFunc(flagError)
	a.root.SetHelpFunc(func(c *cobra.Command, _ []string) { a.help(c) })
	a.root.PersistentPreRunE = a.before
	for _, construct := range constructors {
		c := construct(a)
		a.commands = append(a.commands, c)
		a.root.AddCommand(c.Command)
	}
	a.root.SetHelpCommand(newHelp(a).Command)
	return a
}

// Commands returns the commands in the order of the help text, hidden ones included.
func (a *App) Commands() []*Command { return a.commands }

// Run executes a command line and returns the exit code.
func (a *App) Run(ctx context.Context, args []string) int {
	return a.report(a.Execute(ctx, args))
}

// errHelpShown ends a command that was called for its help.
var errHelpShown = errors.New("the help was shown")

// Execute executes a command line. Without a command it is that of "start".
func (a *App) Execute(ctx context.Context, args []string) error {
	line, err := a.commandLine(args)
	if err != nil {
		return err
	}
	a.root.SetArgs(line)
	if err := a.root.ExecuteContext(ctx); !errors.Is(err, errHelpShown) {
		return err
	}
	return nil
}

// commandLine returns a command line in the form that cobra reads: the name of a
// command, and its options as pflag has them.
func (a *App) commandLine(args []string) ([]string, error) {
	name, first := "start", ""
	if len(args) > 0 {
		first = args[0]
	}
	switch {
	case first == "help" || first == "--help" || first == "-h" || first == "--help-all":
		return append([]string{"help"}, args[1:]...), nil
	case first == cobra.ShellCompRequestCmd || first == cobra.ShellCompNoDescRequestCmd:
		return append([]string{first}, a.completionLine(args[1:])...), nil
	case first == "--version":
		name, args = "version", args[1:]
	case len(args) > 0 && !strings.HasPrefix(first, "-"): // it may be ""
		name, args = first, args[1:]
	}
	c := a.find(name)
	if c == nil {
		return nil, a.unknownCommand(name)
	}
	args, ignored, err := c.normalize(args)
	if err != nil {
		return nil, UsageError(err.Error(), helpHint(c.Command))
	}
	for _, name := range ignored {
		a.Errf("warning: --%s is not known here and has no effect\n", name)
	}
	c.Line = append([]string{name}, args...)
	return c.Line, nil
}

// completionLine does the same for the words of a line that is being completed, of
// which the last one may be incomplete.
func (a *App) completionLine(words []string) []string {
	if len(words) == 0 {
		words = []string{""}
	}
	if strings.HasPrefix(words[0], "-") {
		words = append([]string{"start"}, words...)
	}
	last := len(words) - 1
	c := a.find(words[0])
	if c == nil || last == 0 {
		return words
	}
	args, _, err := c.normalize(words[1:last])
	if err != nil {
		return words
	}
	return slices.Concat(words[:1], args, words[last:])
}

// before runs between the reading of a command line and its command.
func (a *App) before(cmd *cobra.Command, _ []string) error {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if f.Usage == NoEffect {
			a.Errf("warning: --%s has no effect here\n", f.Name)
		}
	})
	if !cmd.Flags().Changed("help-all") {
		return nil
	}
	a.help(cmd)
	if c := a.find(cmd.Name()); c != nil && c.HelpAll != nil {
		if err := c.HelpAll(cmd.Context()); err != nil {
			return err
		}
	}
	return errHelpShown
}

func (a *App) find(name string) *Command {
	for _, c := range a.commands {
		if c.Name() == name {
			return c
		}
	}
	return nil
}

// unknownCommand returns the error of a command that does not exist, with the one
// that was probably meant.
func (a *App) unknownCommand(name string) error {
	names := a.names()
	hint := "commands: " + strings.Join(names, ", ")
	if near := nearest.Match(name, names); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return UsageError(fmt.Sprintf("unknown command %q", name), hint)
}

// names returns the names of the commands that the help shows.
func (a *App) names() []string {
	var names []string
	for _, c := range a.commands {
		if !c.Hidden {
			names = append(names, c.Name())
		}
	}
	return names
}
