package batch

import (
	"fmt"
	"strings"
)

// Columns are what a status command prints in columns of fixed width, which holds
// values that have blanks or separators in them apart.
type Columns []Column

// Column is one of them; Width is in bytes.
type Column struct {
	Name  string
	Width int
}

// Format asks for the columns as Slurm's --Format has it: "State:24,Name:208".
func (c Columns) Format() string {
	all := make([]string, len(c))
	for i, one := range c {
		all[i] = fmt.Sprintf("%s:%d", one.Name, one.Width)
	}
	return strings.Join(all, ",")
}

// Cut answers the value of each column, without the blanks around it. What a line
// is too short for is "".
func (c Columns) Cut(line string) []string {
	all := make([]string, len(c))
	for i, one := range c {
		n := min(one.Width, len(line))
		all[i], line = strings.TrimSpace(line[:n]), line[n:]
	}
	return all
}
