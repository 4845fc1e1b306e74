package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"golang.org/x/term"
)

// Streams are what a command reads and writes. Results go to Out; progress,
// warnings and errors go to Err.
type Streams struct {
	In       io.Reader
	Out      io.Writer
	Err      io.Writer
	Terminal bool   // Err is a terminal: progress may redraw its line
	LogName  string // the program's name in log lines of IPython Parallel's form; "" for our own form
}

// SystemStreams returns the process's own streams.
func SystemStreams() *Streams {
	return &Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Terminal: term.IsTerminal(int(os.Stderr.Fd()))}
}

// Outf writes a part of a command's result.
func (s *Streams) Outf(format string, args ...any) { fmt.Fprintf(s.Out, format, args...) }

// Errf writes a message that is not part of the result.
func (s *Streams) Errf(format string, args ...any) { fmt.Fprintf(s.Err, format, args...) }

// WriteJSON writes a value as a command's result.
func (s *Streams) WriteJSON(v any) error {
	e := json.NewEncoder(s.Out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// Confirm asks a question. Any answer but yes is no.
func (s *Streams) Confirm(question string) bool {
	s.Errf("%s", question)
	line, err := bufio.NewReader(s.In).ReadString('\n')
	if err != nil && line == "" {
		s.Errf("\n")
		return false
	}
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes"
}

// A Table is a listing in columns, each as wide as its longest cell.
type Table struct {
	w       *tabwriter.Writer
	columns int
}

// NewTable begins a listing with the names of its columns.
func (s *Streams) NewTable(columns ...string) *Table {
	t := &Table{tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0), len(columns)}
	t.row(columns)
	return t
}

// Row adds a line of cells, one for each column.
func (t *Table) Row(cells ...any) {
	texts := make([]string, len(cells))
	for i, c := range cells {
		texts[i] = strings.Join(strings.Fields(fmt.Sprint(c)), " ")
	}
	t.row(texts)
}

// Note adds a remark about the row above, in the last column.
func (t *Table) Note(format string, args ...any) {
	cells := make([]any, t.columns)
	for i := range cells {
		cells[i] = ""
	}
	cells[len(cells)-1] = fmt.Sprintf(format, args...)
	t.Row(cells...)
}

// row writes the cells of a line. tabwriter does not count the last one as a
// column, so that a long one widens nothing.
func (t *Table) row(cells []string) { fmt.Fprintln(t.w, strings.Join(cells, "\t")) }

// Flush writes the listing.
func (t *Table) Flush() error { return t.w.Flush() }

// Count returns a number with its noun: "1 engine", "2 engines".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
