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

	"github.com/ipcore/ipcore/core/launch/cluster"
	"github.com/ipcore/ipcore/core/launch/registry"
)

// reportVariable tells the detached child through which inherited pipe it
// reports to the command that started it.
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

// daemonize runs this command again as a detached process and shows its report
// until the cluster is running or has failed. line is the command line less the
// settings of launchers, which may be secret: the child reads them.
func daemonize(ctx context.Context, a *app, co cluster.Options, line []string) error {
	if err := co.Profile.Create(); err != nil {
		return fmt.Errorf("make the profile directory: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program's own file: %w", err)
	}
	log, err := daemonLog(co)
	if err != nil {
		return err
	}
	defer log.Close()
	reading, writing, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe to the daemon: %w", err)
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
			_ = endChild(child.Process) // it has ended if this fails, and the pipe tells
		}
	})
	err = follow(a, co, reading, name)
	close(done)
	passing.Wait()
	select {
	case <-interrupted:
		if err != nil {
			_, waitErr := child.Process.Wait()
			return &exitError{code: exitInterrupted, err: errors.Join(errors.New("interrupted; the cluster was stopped"), waitErr)}
		}
	default:
	}
	if err == nil {
		return child.Process.Release()
	}
	_, waitErr := child.Process.Wait()
	return errors.Join(err, waitErr)
}

// writeSettings answers what the child reads: the settings of the command line.
// Those of files it finds itself.
func writeSettings(all []registry.Setting) (io.Reader, error) {
	given := slices.DeleteFunc(slices.Clone(all), func(s registry.Setting) bool { return s.Source != "" })
	text, err := json.Marshal(given)
	if err != nil {
		return nil, fmt.Errorf("write the settings of launchers: %w", err)
	}
	return bytes.NewReader(text), nil
}

// readSettings reads what writeSettings wrote.
func readSettings(r io.Reader) ([]registry.Setting, error) {
	var given []registry.Setting
	if err := json.NewDecoder(r).Decode(&given); err != nil {
		return nil, fmt.Errorf("read the settings of launchers: %w", err)
	}
	return given, nil
}

// follow shows the child's report.
func follow(a *app, co cluster.Options, r io.Reader, log string) error {
	show := newScreen(a.streams)
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var m message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return fmt.Errorf("the daemon's report makes no sense: %w", err)
		}
		switch {
		case m.Progress != nil:
			show.progress(*m.Progress)
		case m.Running != nil:
			show.wipe()
			co.N, co.ID = m.Running.N, m.Running.ID
			show.welcome(co, m.Running.Have, m.Running.Took)
			a.outf("Stop    ipcore stop%s\n", argsFor(co.Profile, co.ID))
			a.errf("Leaving cluster running: %s\n", m.Running.File)
			return nil
		case m.Failed != nil:
			show.wipe()
			return &exitError{code: m.Failed.Code, err: &hintedError{err: errors.New(m.Failed.Text), hint: m.Failed.Hint}}
		}
	}
	show.wipe()
	return errors.Join(fmt.Errorf("the daemon ended without a word; its log is %s", log), lines.Err())
}

// daemonLog makes the daemon's log file, 0600, in the profile's log folder. Its
// name gets the daemon's pid once that is known.
func daemonLog(co cluster.Options) (*os.File, error) {
	f, err := os.CreateTemp(co.Profile.LogDir(), ".ipcluster-*.log")
	if err != nil {
		return nil, fmt.Errorf("make the daemon's log: %w", err)
	}
	return f, nil
}

// nameLog gives the log the name that belongs to the daemon's pid.
func nameLog(f *os.File, co cluster.Options, pid int) (string, error) {
	path := cluster.LogPath(co.Profile, controllersID(co), pid)
	if err := os.Rename(f.Name(), path); err != nil {
		return "", fmt.Errorf("name the daemon's log: %w", err)
	}
	return path, nil
}

// report is the daemon's side of the pipe. It writes until the first message
// that is final; later failures are in the log.
type report struct {
	mu   sync.Mutex
	pipe *os.File
	have int
}

var _ display = (*report)(nil)

// reporter answers the report of a detached child, or nil in any other process.
// It takes the variable out of the environment: it is not the children's.
func reporter() *report {
	text, there := os.LookupEnv(reportVariable)
	if !there {
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

// send writes a message. Nobody reads any more when the command that started us
// was killed; the cluster goes on without it.
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

func (r *report) progress(p cluster.Progress) {
	if p.Stage != cluster.StageNote {
		r.have = p.Have
	}
	r.send(message{Progress: &p}, false)
}

func (r *report) running(co cluster.Options, file string, took time.Duration) {
	r.send(message{Running: &runningMessage{ID: co.ID, N: co.N, Have: r.have, File: file, Took: took}}, true)
}

func (r *report) ended() {}

func (r *report) left(cluster.Leftover) {} // ipcore stop looks itself

func (r *report) failed(err error) {
	if err == nil {
		err = errors.New("the cluster was stopped while it started")
	}
	f := &failedMessage{Text: err.Error(), Code: exitCode(err)}
	var h hinter
	if errors.As(err, &h) {
		f.Hint = h.Hint()
	}
	r.send(message{Failed: f}, true)
}
