package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/ipcore/ipcore/core/launch/registry"
)

const intro = `ipcore runs Python code in parallel: a controller, engines, and the commands for both.

Usage: ipcore [start] -n N [options]
       ipcore COMMAND [options]
`

// help prints the list of commands, or the help of the command named.
func (a *app) help(args []string) error {
	if len(args) > 0 {
		c := a.find(args[0])
		if c == nil {
			return &usageError{text: fmt.Sprintf("unknown command %q", args[0]), hint: a.suggestCommand(args[0])}
		}
		c.help(a.Out)
		return nil
	}
	a.outf("%s\nCommands:\n", intro)
	for _, c := range a.commands {
		a.outf("  %-11s %s\n", c.name, c.short)
	}
	a.outf("\nExamples:\n  ipcore -n 4                          start a controller and four engines here\n" +
		"  ipcore exec 'print(2**100)'          run code on every engine\n" +
		"  ipcore stop                          stop them all\n" +
		"\n\"ipcore COMMAND --help\" tells more about a command.\n")
	return nil
}

func (c *command) help(w io.Writer) {
	fmt.Fprintf(w, "%s\n", strings.TrimSpace(c.long))
	fmt.Fprintf(w, "\nUsage: ipcore %s\n", strings.TrimSpace(c.name+" "+c.args))
	if usages := c.flags.FlagUsagesWrapped(100); usages != "" {
		fmt.Fprintf(w, "\nOptions:\n%s", usages)
	}
	fmt.Fprintf(w, "\nExamples:\n")
	for line := range strings.SplitSeq(strings.TrimSpace(c.example), "\n") {
		fmt.Fprintf(w, "  %s\n", strings.TrimSpace(line))
	}
}

func (a *app) suggestCommand(name string) string {
	names := a.names()
	if near := registry.Nearest(name, names); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "commands: " + strings.Join(names, ", ")
}
