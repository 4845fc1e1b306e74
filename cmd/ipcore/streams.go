package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// streams is what a command reads and writes. Results go to Out; progress,
// warnings and errors go to Err.
type streams struct {
	In       io.Reader
	Out      io.Writer
	Err      io.Writer
	Terminal bool   // Err is a terminal: progress may redraw its line
	LogName  string // by which upstream's log lines call the program; empty has our own lines
}

func systemStreams() *streams {
	return &streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Terminal: term.IsTerminal(int(os.Stderr.Fd()))}
}

// outf writes a part of a command's result.
func (s *streams) outf(format string, args ...any) { fmt.Fprintf(s.Out, format, args...) }

// errf writes a message that is not part of the result.
func (s *streams) errf(format string, args ...any) { fmt.Fprintf(s.Err, format, args...) }
