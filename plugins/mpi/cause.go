package mpi

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

// causes match what starters print when a rank has failed. Their groups are rank, pid,
// node, signal, code and words, as far as a starter prints them.
var causes = []*regexp.Regexp{
	// Open MPI 4 and 5
	regexp.MustCompile(`process rank (?P<rank>\d+) with PID \d+ on node (?P<node>\S+) exited on signal (?P<signal>\d+)`),
	regexp.MustCompile(`Process name: \[\S+,(?P<rank>\d+)\]\s+Exit code:\s+(?P<code>\d+)`),
	// Intel MPI
	regexp.MustCompile(`RANK (?P<rank>\d+) PID (?P<pid>\d+) RUNNING AT (?P<node>\S+)\s*\n=\s*KILLED BY SIGNAL: (?P<signal>\d+)`),
	regexp.MustCompile(`RANK (?P<rank>\d+) PID (?P<pid>\d+) RUNNING AT (?P<node>\S+)\s*\n=\s*EXIT STATUS: (?P<code>\d+)`),
	// MPICH
	regexp.MustCompile(`PID (?P<pid>\d+) RUNNING AT (?P<node>\S+)\s*\n=\s*EXIT CODE: \d+(?s:.*)EXIT STRING: .*\(signal (?P<signal>\d+)\)`),
	regexp.MustCompile(`PID (?P<pid>\d+) RUNNING AT (?P<node>\S+)\s*\n=\s*EXIT CODE: (?P<code>\d+)`),
	// srun
	regexp.MustCompile(`error: (?P<node>\S+): tasks? (?P<rank>\d+)[^:\n]*: Exited with exit code (?P<code>\d+)`),
	regexp.MustCompile(`error: (?P<node>\S+): tasks? (?P<rank>\d+)[^:\n]*: (?P<words>Killed|Terminated|Segmentation fault|Aborted)`),
}

// hints say what to do about a starter's message at the start.
var hints = []struct{ sign, hint string }{
	{"attempt to run as root", `Open MPI refuses to run as root; --MPILauncher.mpi_args='["--allow-run-as-root"]' allows it`},
	{"not enough slots", `Open MPI starts one rank a core; ask for fewer engines, or allow more with --MPILauncher.mpi_args='["--oversubscribe"]'`},
}

// explain adds the cause, as the starter printed it, to a starter's exit.
func (d *dialect) explain(e *sdk.Exit) {
	if e.Code == 0 {
		return
	}
	for _, h := range hints {
		if strings.Contains(e.Output, h.sign) {
			e.Reason = h.hint
			return
		}
	}
	for _, c := range causes {
		m := c.FindStringSubmatch(e.Output)
		if m == nil {
			continue
		}
		said := make(map[string]string)
		for i, name := range c.SubexpNames() {
			said[name] = m[i]
		}
		e.Reason = d.cause(said, e)
		return
	}
}

// cause describes a cause, and sets the exit's signal if a signal ended the rank.
func (d *dialect) cause(said map[string]string, e *sdk.Exit) string {
	var who strings.Builder
	who.WriteString("a rank")
	if said["rank"] != "" {
		who.Reset()
		who.WriteString("rank " + said["rank"])
	}
	if said["pid"] != "" {
		who.WriteString(", pid " + said["pid"] + ",")
	}
	if said["node"] != "" {
		who.WriteString(" on " + said["node"])
	}
	how := "ended: " + said["words"]
	switch {
	case said["signal"] != "":
		name := "signal " + said["signal"]
		if sig, err := process.ParseSignal(said["signal"]); err == nil {
			name = signalName(sig)
			e.Code, e.Signal = -1, name
		}
		how = "was ended by " + name
	case said["code"] != "":
		how = "exited with code " + said["code"]
	}
	return fmt.Sprintf("%s %s; %s then ended the others", who.String(), how, d.title)
}
