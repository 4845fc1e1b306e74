package process

import (
	"bytes"
	"io"
	"os"
	"strings"
)

const (
	tailBytes = 16 << 10
	tailLines = 100
)

// Tail answers the last lines of the process's output: at most 100, and 16 KiB.
// It is "" when there is no output or it can't be read.
func (p *Process) Tail() string {
	if p.state.OutputFile == "" {
		return ""
	}
	f, err := os.Open(p.state.OutputFile)
	if err != nil {
		return ""
	}
	defer f.Close()
	i, err := f.Stat()
	if err != nil || i.Size() <= p.offset {
		return ""
	}
	from := max(p.offset, i.Size()-tailBytes)
	b, err := io.ReadAll(io.NewSectionReader(f, from, tailBytes))
	if err != nil {
		return ""
	}
	if from > p.offset { // in the middle of a line
		if _, rest, ok := bytes.Cut(b, []byte("\n")); ok {
			b = rest
		}
	}
	lines := strings.SplitAfter(strings.ToValidUTF8(string(b), "\uFFFD"), "\n")
	if n := len(lines) - tailLines - 1; n > 0 {
		lines = lines[n:]
	}
	return strings.Join(lines, "")
}
