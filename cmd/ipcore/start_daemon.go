package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/ipcore/ipcore/cmd/ipcore/internal/cli"
	"github.com/ipcore/ipcore/core/launch/cluster"
	"github.com/ipcore/ipcore/core/launch/clusterfile"
	"github.com/ipcore/ipcore/core/launch/settings"
)

// reportVariable is the environment variable that gives the daemon the inherited pipe
// through which it reports to the command that started it.
const reportVariable = "IPCORE_REPORT"

// message is one line of the report.
type message struct {
	Progress *cluster.Progress `json:"progress,omitempty"`
	Running  *runningMessage   `json:"running,omitempty"`
	Failed   *failedMessage    `json:"failed,omitempty"`
}

type runningMessage struct {
	ID   string        `json:"id"`
	N    int           `json:"n"`
	Have int           `json:"have"`
	File string        `json:"file"`
	Took time.Duration `json:"took"`
}

type failedMessage struct {
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
	Code int    `json:"code"`
}

// daemonize runs this command again as a detached process, the daemon, and shows its
// report until the cluster is running or has failed. line is the command line without
// the settings of launchers, which may be secret: the daemon reads them from its input.
func daemonize(ctx context.Context, a *cli.App, co cluster.Options, line []string) error {
	if err := co.Profile.Create(); err != nil {
		return fmt.Errorf("create the profile directory: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program's executable: %w", err)
	}
	log, err := daemonLog(co)
	if err != nil {
		return err
	}
	defer log.Close()
	reading, writing, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("create a pipe to the daemon: %w", err)
	}
	defer reading.Close()
	child := exec.Command(self, line...)
	child.Stdout, child.Stderr = log, log
	if child.Stdin, err = writeSettings(co.Settings); err != nil {
		return err
	}
	child.Env = os.Environ()
	detach(child, writing)
	err = child.Start()
	writing.Close()
	if err != nil {
		return fmt.Errorf("start the daemon: %w", err)
	}
	name, err := nameLog(log, co, child.Process.Pid)
	if err != nil {
		return errors.Join(err, child.Process.Signal(syscall.SIGTERM))
	}

	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	interrupted := make(chan struct{})
	done := make(chan struct{})
	var passing sync.WaitGroup
	passing.Go(func() {
		stop := ctx.Done()
		for {
			select {
			case <-signals:
			case <-stop:
				stop = nil
			case <-done:
				return
			}
			select {
			case <-interrupted:
			default:
				close(interrupted)
			}
			_ = endChild(child.Process) // if this fails it has ended, and follow returns
		}
	})
	err = follow(a, co, reading, name)
	close(done)
	passing.Wait()
	select {
	case <-interrupted:
		if err != nil {
			_, waitErr := child.Process.Wait()
			return cli.WithExitCode(cli.ExitInterrupted, errors.Join(errors.New("interrupted; the cluster was stopped"), waitErr))
		}
	default:
	}
	if err == nil {
		return child.Process.Release()
	}
	_, waitErr := child.Process.Wait()
	return errors.Join(err, waitErr)
}

// writeSettings returns the daemon's input: the settings of the command line. The
// daemon reads those of files itself.
func writeSettings(all []settings.Setting) (io.Reader, error) {
	given := slices.DeleteFunc(slices.Clone(all), func(s settings.Setting) bool { return s.Source != "" })
	text, err := json.Marshal(given)
	if err != nil {
		return nil, fmt.Errorf("write the settings of launchers: %w", err)
	}
	return bytes.NewReader(text), nil
}

// readSettings reads the output of writeSettings.
func readSettings(r io.Reader) ([]settings.Setting, error) {
	var given []settings.Setting
	if err := json.NewDecoder(r).Decode(&given); err != nil {
		return nil, fmt.Errorf("read the settings of launchers: %w", err)
	}
	return given, nil
}

// follow shows the daemon's report. log is the path of its log.
func follow(a *cli.App, co cluster.Options, r io.Reader, log string) error {
	show := cli.NewProgress(a.Streams)
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var m message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return fmt.Errorf("read the daemon's report: %w", err)
		}
		switch {
		case m.Progress != nil:
			show.Show(*m.Progress)
		case m.Running != nil:
			show.Clear()
			co.N, co.ID = m.Running.N, m.Running.ID
			show.Welcome(co, m.Running.Have, m.Running.Took)
			a.Outf("Stop    ipcore stop%s\n", cli.OptionsFor(co.Profile, co.ID))
			a.Errf("Leaving cluster running: %s\n", m.Running.File)
			return nil
		case m.Failed != nil:
			show.Clear()
			return cli.WithExitCode(m.Failed.Code, cli.WithHint(errors.New(m.Failed.Text), m.Failed.Hint))
		}
	}
	show.Clear()
	return errors.Join(fmt.Errorf("the daemon ended without a report; its log is %s", log), lines.Err())
}

// daemonLog creates the daemon's log file, 0600, in the profile's log folder. nameLog
// renames it once the daemon's pid is known.
func daemonLog(co cluster.Options) (*os.File, error) {
	f, err := os.CreateTemp(co.Profile.LogDir(), ".ipcluster-*.log")
	if err != nil {
		return nil, fmt.Errorf("create the daemon's log: %w", err)
	}
	return f, nil
}

// nameLog gives the log the name that belongs to the daemon's pid.
func nameLog(f *os.File, co cluster.Options, pid int) (string, error) {
	path := clusterfile.LogPath(co.Profile, controllersID(co), pid)
	if err := os.Rename(f.Name(), path); err != nil {
		return "", fmt.Errorf("rename the daemon's log: %w", err)
	}
	return path, nil
}

// report is the daemon's end of the pipe. It writes until the first final message;
// later failures are in the log.
type report struct {
	mu   sync.Mutex
	pipe *os.File
	have int
}

var _ display = (*report)(nil)

// inheritedReport returns the daemon's report, or nil in any other process. It removes
// the variable from the environment, so that no child inherits it.
func inheritedReport() *report {
	text, ok := os.LookupEnv(reportVariable)
	if !ok {
		return nil
	}
	os.Unsetenv(reportVariable)
	handle, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return nil
	}
	keepFromChildren(uintptr(handle))
	return &report{pipe: os.NewFile(uintptr(handle), "report")}
}

// send writes a message. A failure means that the command that started the daemon was
// killed; the cluster runs without it.
func (r *report) send(m message, final bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pipe == nil {
		return
	}
	err := json.NewEncoder(r.pipe).Encode(m)
	if final || err != nil {
		r.pipe.Close()
		r.pipe = nil
	}
}

func (r *report) Show(p cluster.Progress) {
	if p.Stage != cluster.StageNote {
		r.have = p.Have
	}
	r.send(message{Progress: &p}, false)
}

func (r *report) Running(co cluster.Options, file string, took time.Duration) {
	r.send(message{Running: &runningMessage{ID: co.ID, N: co.N, Have: r.have, File: file, Took: took}}, true)
}

func (r *report) Clear() {}

func (r *report) Leftover(cluster.Leftover) {} // ipcore stop checks itself

func (r *report) failed(err error) {
	if err == nil {
		err = errors.New("the cluster was stopped while it started")
	}
	err = cli.Explain(err)
	r.send(message{Failed: &failedMessage{Text: err.Error(), Hint: cli.Hint(err), Code: cli.ExitCode(err)}}, true)
}
