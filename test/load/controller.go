package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ipcore/ipcore/core/connfile"
)

// Controller is a controller to be measured.
type Controller struct {
	Client *connfile.Client
	Engine *connfile.Engine
	// PIDs are its processes; none when it is not on this machine.
	PIDs []int

	root int           // the first of them, or 0
	cmd  *exec.Cmd     // nil when somebody else started it
	end  chan struct{} // closed when cmd has ended
	dir  string
}

// Attach finds a running controller by its connection files. pid is its first
// process, or 0 when it is somewhere else.
func Attach(clientFile, engineFile string, pid int) (*Controller, error) {
	c := &Controller{}
	var err error
	if c.Client, err = connfile.ReadClient(clientFile); err != nil {
		return nil, err
	}
	if c.Engine, err = connfile.ReadEngine(engineFile); err != nil {
		return nil, err
	}
	c.root = pid
	return c, c.findProcesses()
}

// Start starts a controller with a profile of its own and returns when both
// files are there. "{dir}" in the command stands for the profile's folder. Its
// output goes to the file controller.log there.
func Start(ctx context.Context, command ...string) (*Controller, error) {
	c, err := launch(command)
	if err != nil {
		return nil, err
	}
	clientName, engineName := connfile.Names("")
	for c.Client == nil || c.Engine == nil {
		if err := c.wait(ctx, time.Millisecond); err != nil {
			return nil, errors.Join(fmt.Errorf("no connection files: %w%s", err, c.logTail()), c.Stop(ctx))
		}
		security := filepath.Join(c.dir, "security")
		c.Client, _ = connfile.ReadClient(filepath.Join(security, clientName)) // not there yet, or half written
		c.Engine, _ = connfile.ReadEngine(filepath.Join(security, engineName))
	}
	return c, c.findProcesses()
}

// StartBare starts a forwarder: a program that prints the ports of its two
// ROUTERs, for clients and for engines, and their public key (Z85) when they are
// encrypted.
func StartBare(ctx context.Context, command ...string) (*Controller, error) {
	c, err := launch(command)
	if err != nil {
		return nil, err
	}
	key := connfile.NewKey()
	for {
		var front, back int
		text, err := os.ReadFile(c.log())
		if err != nil {
			return nil, errors.Join(err, c.Stop(ctx))
		}
		if line, _, whole := strings.Cut(string(text), "\n"); whole {
			var curve *string
			words := strings.Fields(line)
			if len(words) == 3 {
				curve = &words[2]
			}
			if _, err := fmt.Sscan(line, &front, &back); err == nil {
				c.Client = &connfile.Client{Interface: "tcp://127.0.0.1", Mux: front, Key: key, SignatureScheme: "hmac-sha256", CurveServerKey: curve}
				c.Engine = &connfile.Engine{Interface: "tcp://127.0.0.1", Mux: back, Key: key, SignatureScheme: "hmac-sha256", CurveServerKey: curve}
				return c, c.findProcesses()
			}
		}
		if err := c.wait(ctx, time.Millisecond); err != nil {
			return nil, errors.Join(fmt.Errorf("the forwarder printed no ports: %w%s", err, c.logTail()), c.Stop(ctx))
		}
	}
}

func launch(command []string) (*Controller, error) {
	dir, err := os.MkdirTemp("", "loadgen")
	if err != nil {
		return nil, err
	}
	c := &Controller{dir: dir, end: make(chan struct{})}
	args := make([]string, len(command))
	for i, a := range command {
		args[i] = strings.ReplaceAll(a, "{dir}", dir)
	}
	out, err := os.Create(c.log())
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }() // the process has its own
	c.cmd = exec.Command(args[0], args[1:]...)
	c.cmd.Dir, c.cmd.Stdout, c.cmd.Stderr = dir, out, out
	if err := c.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	c.root = c.cmd.Process.Pid
	go func() {
		_ = c.cmd.Wait() // how it ended is in its log
		close(c.end)
	}()
	return c, nil
}

// wait pauses; an error when the process or ctx has ended.
func (c *Controller) wait(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-c.end:
		return errors.New("the process has ended")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// count finds all processes of the controller.
func (c *Controller) findProcesses() (err error) {
	if c.root != 0 {
		c.PIDs, err = Tree(c.root)
	}
	return err
}

func (c *Controller) log() string { return filepath.Join(c.dir, "controller.log") }

// logTail returns the end of the process's output.
func (c *Controller) logTail() string {
	f, err := os.Open(c.log())
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }() // read only
	var last []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if last = append(last, lines.Text()); len(last) > 8 {
			last = last[1:]
		}
	}
	return "\n" + strings.Join(last, "\n")
}

// CPU is the CPU time of all processes of the controller so far; 0 when it is
// not on this machine.
func (c *Controller) CPU() (time.Duration, error) { return cpu(c.PIDs) }

// Memory is what all processes of the controller hold.
func (c *Controller) Memory() (Memory, error) { return memory(c.PIDs) }

// Stop asks a controller that Start or StartBare started to end, kills it
// after ten seconds, and returns when all its processes have ended.
func (c *Controller) Stop(ctx context.Context) error {
	if c.cmd == nil {
		return nil
	}
	pids := c.PIDs
	if err := c.findProcesses(); err == nil { // it may have started more
		pids = c.PIDs
	}
	defer func() { _ = os.RemoveAll(c.dir) }() // in the system's temporary folder
	if err := signalAll(pids[:min(1, len(pids))], syscall.SIGTERM); err != nil {
		return err
	}
	patience := time.Now().Add(10 * time.Second)
	for killed := false; ; time.Sleep(time.Millisecond) {
		left := 0
		for _, pid := range pids {
			if alive(pid) {
				left++
			}
		}
		switch {
		case left == 0:
			<-c.end
			return nil
		case !killed && (time.Now().After(patience) || ctx.Err() != nil):
			killed = true
			if err := signalAll(pids, syscall.SIGKILL); err != nil {
				return err
			}
		}
	}
}
