package main

import (
	"fmt"
	"io"
	"strings"
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
	names := make([]string, 0, len(a.commands))
	for _, c := range a.commands {
		names = append(names, c.name)
	}
	if near := nearest(name, names); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "commands: " + strings.Join(names, ", ")
}

// nearest answers the candidate that name is most likely a slip of, or "".
func nearest(name string, candidates []string) string {
	best, bestDistance := "", max(2, len(name)/3)+1
	for _, c := range candidates {
		d := distance(name, c)
		if len(name) > 2 && strings.HasPrefix(c, name) {
			d = 1
		}
		if d < bestDistance {
			best, bestDistance = c, d
		}
	}
	if bestDistance >= len(name) {
		return ""
	}
	return best
}

// distance is the number of single-letter edits (insert, delete, replace, swap
// of neighbours) that turn a into b.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
