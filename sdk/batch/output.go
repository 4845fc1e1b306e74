package batch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ipcore/ipcore/sdk/process"
)

// maxText bounds the output of a whole set, in bytes.
const maxText = 1 << 20

// elementFile returns the output file of the array element with an index, as the
// system counts.
func elementFile(output string, index int) string {
	ext := filepath.Ext(output)
	return strings.TrimSuffix(output, ext) + "-" + strconv.Itoa(index) + ext
}

// spoolFile returns the file to which the system writes what the script did not write
// to the output file.
func spoolFile(output string) string {
	return strings.TrimSuffix(output, filepath.Ext(output)) + ".spool"
}

// output returns the last lines of a job's output: of the job's own file, and of each
// element that wrote something. With remove it deletes the files afterwards.
func (t *tracker) output(file string, remove bool) (string, error) {
	if file == "" {
		return "", nil
	}
	var b strings.Builder
	var errs []error
	take := func(title, name string) {
		text := process.TailFile(name, 0)
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

// lastLines returns the last lines of output of one element, or of the job.
func (t *tracker) lastLines(file string, i int) string {
	text := process.TailFile(file, 0)
	if t.array {
		text = process.TailFile(elementFile(file, i+t.first), 0)
	}
	if text == "" {
		text = process.TailFile(spoolFile(file), 0)
	}
	return text
}
