package ssh

import (
	_ "embed" // the scripts
	"fmt"
	"strconv"
	"strings"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

// The scripts that run on hosts are functions; what follows them calls these.
var (
	//go:embed scripts/lib.sh
	libScript string
	//go:embed scripts/start.sh
	startScript string
	//go:embed scripts/poll.sh
	pollScript string
	//go:embed scripts/stop.sh
	stopScript string
	//go:embed scripts/signal.sh
	signalScript string
	//go:embed scripts/sweep.sh
	sweepScript string
)

// reading is what the lines of a script say, one after the other.
type reading struct {
	lines []string
}

// next returns the next line's words, and the lines of output that follow it.
func (r *reading) next() (words []string, output string, ok bool) {
	for len(r.lines) > 0 && strings.HasPrefix(r.lines[0], "| ") {
		r.lines = r.lines[1:] // output of nothing
	}
	if len(r.lines) == 0 {
		return nil, "", false
	}
	words = strings.Split(r.lines[0], " ")
	r.lines = r.lines[1:]
	var b strings.Builder
	for len(r.lines) > 0 && strings.HasPrefix(r.lines[0], "| ") {
		b.WriteString(r.lines[0][2:] + "\n")
		r.lines = r.lines[1:]
	}
	return words, strings.ToValidUTF8(b.String(), "\uFFFD"), true
}

// lastLines is how many lines of output are shown at most.
const lastLines = 100

// shown cuts output to its last lines.
func shown(text string) string {
	lines := strings.SplitAfter(text, "\n")
	if n := len(lines) - lastLines - 1; n > 0 {
		lines = lines[n:]
	}
	return strings.Join(lines, "")
}

// exitOf parses an exit code as a shell writes it: codes above 128 are signals.
func exitOf(code string) sdk.Exit {
	n, err := strconv.Atoi(code)
	if err != nil {
		return sdk.Exit{Code: -1}
	}
	if n > 128 && n <= 128+31 {
		if name := signalName(n - 128); name != "" {
			return sdk.Exit{Code: -1, Signal: name}
		}
	}
	return sdk.Exit{Code: n}
}

// signalFor returns the argument of kill for a signal: its name without SIG, or its number.
func signalFor(signal string) (string, error) {
	n, err := process.ParseSignal(signal)
	if err != nil {
		return "", err
	}
	if name := signalName(int(n)); name != "" {
		return strings.TrimPrefix(name, "SIG"), nil
	}
	return strconv.Itoa(int(n)), nil
}

// call writes the call of a script's function for a process.
func (e *member) call(function string) string {
	return fmt.Sprintf("%s %d %d %s %s\n", function, e.index, e.pid, sdk.ShellQuote(e.birth), sdk.ShellQuote(e.log))
}
