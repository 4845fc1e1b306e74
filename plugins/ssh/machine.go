package ssh

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ipcore/ipcore/sdk"
)

// machine is one host and the processes that were started there.
type machine struct {
	target  target
	key     string
	profile string // the profile's folder there
	uname   string // what the host calls itself
	boot    string // which start of it
	made    []string
	members []*member
	tunnel  *tunnel // nil: none

	kick chan struct{} // holds one when it is to be looked at now

	// Under the launcher's mu.
	trouble error // of the last look; nil: it went well
}

// member is one process: the leader of its session there.
type member struct {
	index int
	pid   int
	birth string
	log   string

	// Under the launcher's mu.
	ended bool
	exit  sdk.Exit
}

// left returns how many processes may run. The caller holds the launcher's mu.
func (m *machine) left() int {
	n := 0
	for _, e := range m.members {
		if !e.ended {
			n++
		}
	}
	return n
}

// launch starts the processes. What was started is in members, also after an
// error; clean is set if nothing else can have been started.
func (m *machine) launch(ctx context.Context, script string) (clean bool, err error) {
	lines, err := m.target.call(ctx, script)
	r := reading{lines}
	for {
		words, _, ok := r.next()
		if !ok {
			break
		}
		switch {
		case words[0] == "host" && len(words) == 3:
			m.uname, m.boot = words[1], words[2]
		case words[0] == "profile":
			m.profile = strings.Join(words[1:], " ")
		case words[0] == "made":
			m.made = append(m.made, strings.Join(words[1:], " "))
		case words[0] == "started" && len(words) >= 5:
			e := &member{birth: words[3], log: strings.Join(words[4:], " ")}
			var bad, bad2 error
			e.index, bad = strconv.Atoi(words[1])
			e.pid, bad2 = strconv.Atoi(words[2])
			if bad == nil && bad2 == nil {
				m.members = append(m.members, e)
			}
		}
	}
	return err == nil || ctx.Err() == nil && !unreachable(err), err
}

// seen is what one poll found of a process.
type seen struct {
	runs bool
	exit sdk.Exit
}

// look looks at members. An error means that nothing is known.
func (m *machine) look(ctx context.Context, members []*member) (map[int]seen, error) {
	var script strings.Builder
	script.WriteString(pollScript)
	for _, e := range members {
		script.WriteString(e.call("look"))
	}
	lines, err := m.target.call(ctx, script.String())
	if err != nil {
		return nil, err
	}
	found := make(map[int]seen)
	r := reading{lines}
	for {
		words, output, ok := r.next()
		if !ok {
			break
		}
		switch {
		case words[0] == "host" && len(words) == 3:
			if words[1] != m.uname {
				return nil, fmt.Errorf("%s: %w: it calls itself %s, and was %s when the processes were started", m.target.name(), errUnreachable, words[1], m.uname)
			}
			if m.boot != "-" && words[2] != m.boot {
				for _, e := range members {
					found[e.index] = seen{exit: sdk.Exit{Code: -1, Reason: m.target.name() + " was started anew"}}
				}
				return found, nil
			}
		case words[0] == "runs" && len(words) == 2, words[0] == "ended" && len(words) == 3:
			i, err := strconv.Atoi(words[1])
			if err != nil {
				continue
			}
			s := seen{runs: words[0] == "runs"}
			if !s.runs {
				s.exit = exitOf(words[2])
				s.exit.Output = shown(output)
				if words[2] == "-" {
					s.exit.Reason = "it left no exit code; it was killed, or " + m.target.name() + " lost it"
				}
			}
			found[i] = s
		}
	}
	return found, nil
}

// signal sends a signal to members and returns how many were reached.
func (m *machine) signal(ctx context.Context, name string, members []*member) (int, error) {
	var script strings.Builder
	script.WriteString(signalScript)
	for _, e := range members {
		script.WriteString(e.call("pass " + sdk.ShellQuote(name)))
	}
	lines, err := m.target.call(ctx, script.String())
	return len(lines), err
}

// stop ends the members and removes the files that the start created. It returns the exit
// codes that the members left.
func (m *machine) stop(ctx context.Context, grace time.Duration) (map[int]sdk.Exit, error) {
	var script strings.Builder
	script.WriteString(stopScript)
	script.WriteString("s=\n")
	for _, e := range m.members {
		pid := strconv.Itoa(e.pid)
		script.WriteString("ours " + pid + " " + sdk.ShellQuote(e.birth) + " && s=\"$s " + pid + "\"\n")
	}
	fmt.Fprintf(&script, "stop %d $s\n", int(grace/(100*time.Millisecond)))
	for _, e := range m.members {
		log := sdk.ShellQuote(e.log)
		fmt.Fprintf(&script, "code=; { read -r code <%s.exit; } 2>/dev/null; say code %d ${code:--}; rm -f %s.exit\n", log, e.index, log)
	}
	for _, file := range m.made {
		script.WriteString("rm -f " + sdk.ShellQuote(file) + "\n")
	}
	ctx, cancel := context.WithTimeout(ctx, grace+callLimit)
	defer cancel()
	lines, err := m.target.call(ctx, script.String())
	exits := make(map[int]sdk.Exit)
	for _, line := range lines {
		words := strings.Split(line, " ")
		if words[0] == "left" {
			err = fmt.Errorf("%s: processes %s are still there after SIGKILL", m.target.name(), strings.Join(words[1:], " "))
		}
		if i, bad := strconv.Atoi(words[min(1, len(words)-1)]); words[0] == "code" && len(words) == 3 && bad == nil {
			exits[i] = exitOf(words[2])
		}
	}
	return exits, err
}

// output returns the last lines of each member's log.
func (m *machine) output(ctx context.Context, remove bool) (map[int]string, error) {
	var script strings.Builder
	for _, e := range m.members {
		fmt.Fprintf(&script, "say log %d\ntail_of %s\n", e.index, sdk.ShellQuote(e.log))
		if remove {
			fmt.Fprintf(&script, "rm -f %s\n", sdk.ShellQuote(e.log))
		}
	}
	lines, err := m.target.call(ctx, script.String())
	texts := make(map[int]string)
	r := reading{lines}
	for {
		words, output, ok := r.next()
		if !ok {
			return texts, err
		}
		if i, bad := strconv.Atoi(words[len(words)-1]); bad == nil && words[0] == "log" {
			texts[i] = shown(output)
		}
	}
}

// sweep ends everything of a job on the host, of which no numbers are known.
func (m *machine) sweep(ctx context.Context, job string) error {
	lines, err := m.target.call(ctx, sweepScript+"marked "+jobVariable+"\n")
	if err != nil {
		return err
	}
	var script strings.Builder
	script.WriteString(sweepScript)
	for _, line := range lines {
		if words := strings.Split(line, " "); len(words) >= 4 && words[0] == "marked" && words[3] == job {
			script.WriteString("remove " + sdk.ShellQuote(words[1]) + " " + sdk.ShellQuote(words[2]) + "\n")
		}
	}
	_, err = m.target.call(ctx, script.String())
	return err
}

// running returns the members that may run. The caller holds the launcher's mu.
func (m *machine) running() []*member {
	return slices.DeleteFunc(slices.Clone(m.members), func(e *member) bool { return e.ended })
}
