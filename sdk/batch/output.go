package batch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	tailBytes = 16 << 10
	tailLines = 100
	maxText   = 1 << 20 // of a whole set
)

// elementFile answers the output file of the element with an index, as the system
// counts.
func elementFile(output string, index int) string {
	ext := filepath.Ext(output)
	return strings.TrimSuffix(output, ext) + "-" + strconv.Itoa(index) + ext
}

// spoolFile answers where the system puts what the script did not send to the
// output file.
func spoolFile(output string) string {
	return strings.TrimSuffix(output, filepath.Ext(output)) + ".spool"
}

// tail answers the last lines of a file; "" when there is none.
func tail(name string) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	i, err := f.Stat()
	if err != nil || !i.Mode().IsRegular() {
		return ""
	}
	from := max(0, i.Size()-tailBytes)
	b, err := io.ReadAll(io.NewSectionReader(f, from, tailBytes))
	if err != nil {
		return ""
	}
	if from > 0 { // in the middle of a line
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

// output answers the last lines of a job: of each element that wrote something,
// and of the job's own file.
func (t *tracker) output(file string, remove bool) (string, error) {
	if file == "" {
		return "", nil
	}
	var b strings.Builder
	var errs []error
	take := func(title, name string) {
		text := tail(name)
		if text != "" && b.Len() < maxText {
			if title != "" {
				b.WriteString(title + ":\n")
			}
			b.WriteString(text)
			if !strings.HasSuffix(text, "\n") {
				b.WriteByte('\n')
			}
		}
		if remove {
			if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, fmt.Errorf("remove the output: %w", err))
			}
		}
	}
	take("", file)
	take("", spoolFile(file))
	if t.array {
		for i := range t.elements {
			take(fmt.Sprintf("engine %d", i), elementFile(file, i+t.first))
		}
	}
	return b.String(), errors.Join(errs...)
}

// last answers the last lines of one element, or of the job.
func (t *tracker) lastLines(file string, i int) string {
	text := tail(file)
	if t.array {
		text = tail(elementFile(file, i+t.first))
	}
	if text == "" {
		text = tail(spoolFile(file))
	}
	return text
}
