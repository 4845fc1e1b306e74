package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/ipcore/ipcore/core/launch/settings"

	"github.com/spf13/pflag"
)

// A command is one subcommand. Its constructor binds flags to an options
// struct; run works from that struct and the remaining arguments alone.
type command struct {
	name    string
	args    string // the usage line behind the name, "[ids...]"
	short   string // one line for the list of commands
	long    string // paragraphs for --help
	example string // at least one command line
	flags   *pflag.FlagSet
	run     func(ctx context.Context, args []string) error
	all     func(ctx context.Context) error // prints what --help-all adds to the help; nil for nothing

	// traits maps upstream's configuration names ("HeartMonitor.period") to
	// flags of this command. A command with a table accepts any other
	// --Class.trait=value with a warning; nil refuses them.
	traits map[string]string

	// launchers tells that settings of launchers are collected: --Class.trait=value
	// and --name.option=value from the command line, and those of configuration files.
	launchers bool
	settings  []settings.Setting
	line      []string // the command line without these settings
}

// constructors is the table of subcommands in the order of the help text.
var constructors = []func(*app) *command{
	newStart,
	newEngines,
	newStop,
	newList,
	newStatus,
	newWait,
	newExec,
	newLogs,
	newController,
	newEngine,
	newLaunchers,
	newScript,
	newGC,
	newCompletion,
	newVersion,
}

// app is the program: its streams and its table of commands.
type app struct {
	*streams
	commands []*command
	args     []string // the command line, for the process that goes on as a daemon
}

func newApp(s *streams) *app {
	a := &app{streams: s}
	for _, construct := range constructors {
		a.commands = append(a.commands, construct(a))
	}
	return a
}

// run executes one command line and answers the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	a.args = args
	return a.report(a.dispatch(ctx, args))
}

func (a *app) dispatch(ctx context.Context, args []string) error {
	name := "start"
	switch {
	case len(args) > 0 && (args[0] == "help" || args[0] == "--help" || args[0] == "-h" || args[0] == "--help-all"):
		return a.help(args[1:])
	case len(args) > 0 && args[0] == completeCommand:
		return a.complete(ctx, args[1:])
	case len(args) > 0 && args[0] == "--version":
		name, args = "version", args[1:]
	case len(args) > 0 && !strings.HasPrefix(args[0], "-"):
		name, args = args[0], args[1:]
	}
	c := a.find(name)
	if c == nil {
		return &usageError{text: fmt.Sprintf("unknown command %q", name), hint: a.suggestCommand(name)}
	}
	return a.execute(ctx, c, args)
}

func (a *app) find(name string) *command {
	for _, c := range a.commands {
		if c.name == name {
			return c
		}
	}
	return nil
}

func (a *app) execute(ctx context.Context, c *command, args []string) error {
	args, ignored, err := normalise(c, args)
	if err != nil {
		return &usageError{command: c.name, text: err.Error(), hint: "run: ipcore " + c.name + " --help"}
	}
	for _, name := range ignored {
		a.errf("warning: --%s is not known here and has no effect\n", name)
	}
	c.line = append([]string{c.name}, args...)
	if err := c.flags.Parse(args); err != nil {
		return flagError(c, err)
	}
	c.flags.Visit(func(f *pflag.Flag) {
		if f.Usage == noEffect {
			a.errf("warning: --%s has no effect here\n", f.Name)
		}
	})
	if c.flags.Changed("help") || c.flags.Changed("help-all") {
		c.help(a.Out)
		if c.all != nil && c.flags.Changed("help-all") {
			return c.all(ctx)
		}
		return nil
	}
	return c.run(ctx, c.flags.Args())
}

// newFlags makes the flag set of a command. Messages are the frame's business,
// so pflag itself prints nothing.
func newFlags(name string) *pflag.FlagSet {
	fs := pflag.NewFlagSet(name, pflag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	fs.SortFlags = false
	fs.BoolP("help", "h", false, "show this help")
	fs.Bool("help-all", false, "show this help")
	hide(fs, "help-all")
	return fs
}

func hide(fs *pflag.FlagSet, names ...string) {
	for _, name := range names {
		fs.Lookup(name).Hidden = true
	}
}

// noArguments refuses arguments of a command that takes none.
func noArguments(args []string) error {
	if len(args) > 0 {
		return &usageError{text: fmt.Sprintf("unexpected argument %q", args[0]), hint: "options begin with a dash; what belongs to the controller comes after --"}
	}
	return nil
}
