package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

const intro = `ipcore runs Python code in parallel: a controller, engines, and the commands for both.

Usage: ipcore [start] -n N [options]
       ipcore COMMAND [options]
`

const introExamples = `
Examples:
  ipcore -n 4                          start a controller and four engines here
  ipcore exec 'print(2**100)'          run code on every engine
  ipcore stop                          stop them all

"ipcore COMMAND --help" explains a command.
`

// newHelp returns the command that shows the help of others.
func newHelp(a *App) *Command {
	c := NewCommand(&cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "show the list of commands, or the help of one",
		Long:    "Show the list of commands, or the help of the command that is named.",
		Example: "ipcore help start",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				a.help(a.root)
				return nil
			}
			c := a.find(args[0])
			if c == nil {
				return a.unknownCommand(args[0])
			}
			a.help(c.Command)
			return nil
		},
	})
	c.ValidArgsFunction = Choices(a.names()...)
	return c
}

// help prints the help of a command; the root's is the list of commands.
func (a *App) help(c *cobra.Command) {
	if c == a.root {
		a.Outf("%s\nCommands:\n", intro)
		for _, c := range a.commands {
			if !c.Hidden {
				a.Outf("  %-11s %s\n", c.Name(), c.Short)
			}
		}
		a.Outf("%s", introExamples)
		return
	}
	writeHelp(a.Out, c)
}

func writeHelp(w io.Writer, c *cobra.Command) {
	fmt.Fprintf(w, "%s\n\nUsage: %s\n", strings.TrimSpace(c.Long), c.UseLine())
	if usages := c.Flags().FlagUsagesWrapped(100); usages != "" {
		fmt.Fprintf(w, "\nOptions:\n%s", usages)
	}
	fmt.Fprintf(w, "\nExamples:\n")
	for _, line := range Examples(c) {
		fmt.Fprintf(w, "  %s\n", line)
	}
}

// Examples returns the command lines that a command's help shows.
func Examples(c *cobra.Command) []string {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSpace(c.Example), "\n") {
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}
