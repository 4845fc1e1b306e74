package batch

import (
	"fmt"
	"strings"
)

// Columns describes the output of a status command that prints columns of fixed width,
// in which values may contain blanks and separators.
type Columns []Column

// Column is one of the Columns. Width is in bytes.
type Column struct {
	Name  string
	Width int
}

// Format returns the columns in the form of Slurm's option --Format:
// "State:24,Name:208".
func (c Columns) Format() string {
	all := make([]string, len(c))
	for i, one := range c {
		all[i] = fmt.Sprintf("%s:%d", one.Name, one.Width)
	}
	return strings.Join(all, ",")
}

// Cut returns the value of each column of a line, without the blanks around it. The
// value is "" if the line is too short.
func (c Columns) Cut(line string) []string {
	all := make([]string, len(c))
	for i, one := range c {
		n := min(one.Width, len(line))
		all[i], line = strings.TrimSpace(line[:n]), line[n:]
	}
	return all
}
