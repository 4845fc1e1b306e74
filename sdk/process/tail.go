package process

import (
	"io"
	"os"
	"strings"
	"sync"

	"github.com/ipcore/ipcore/sdk"
)

const (
	tailBytes = 16 << 10
	tailLines = 100
)

// Tail returns the last lines of the process's output: at most 100, and at most
// 16 KiB. It is "" when there is no output or the output can't be read.
func (p *Process) Tail() string {
	if p.state.OutputFile == "" {
		return ""
	}
	return TailFile(p.state.OutputFile, p.offset)
}

// TailFile returns the last lines of what a file holds from the byte offset on: at
// most 100 lines, and at most 16 KiB. It is "" when that is nothing, when the file
// is not a regular one, or when it can't be read.
func TailFile(name string, offset int64) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	i, err := f.Stat()
	if err != nil || !i.Mode().IsRegular() || i.Size() <= offset {
		return ""
	}
	// One byte more than is shown, so that LastBytes knows that there is more.
	from := max(offset, i.Size()-tailBytes-1)
	b, err := io.ReadAll(io.NewSectionReader(f, from, tailBytes+1))
	if err != nil {
		return ""
	}
	lines := strings.SplitAfter(sdk.LastBytes(string(b), tailBytes), "\n")
	if n := len(lines) - tailLines - 1; n > 0 {
		lines = lines[n:]
	}
	return strings.Join(lines, "")
}

// TailBuffer is a writer that keeps the last Max bytes of what is written to it. It
// may be written to and read from many goroutines.
type TailBuffer struct {
	Max int

	mu sync.Mutex
	b  []byte
}

// Write never fails.
func (t *TailBuffer) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if over := len(t.b) - t.Max; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

// String returns what the buffer holds.
func (t *TailBuffer) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
