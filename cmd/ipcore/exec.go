package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ipcore/ipcore/core/client"
)

// interruptLimit is how long engines get to answer an interrupt.
const interruptLimit = 3 * time.Second

type execOptions struct {
	place
	verbosity
	targets string
	silent  bool
	timeout seconds
}

func newExec(a *app) *command {
	o := &execOptions{}
	c := &command{
		name:  "exec",
		args:  "'code' [--targets 0,2]",
		short: "run code on engines and print what they print",
		long: `Run Python code on all engines, or on some. What an engine prints comes as it is printed,
behind a line [stdout:ID]; the value of a last expression as Out[ID:COUNT]. The argument is
the code itself, the name of a file that ends in .py, or - for standard input. The exit
code is 1 when the code failed on an engine. Ctrl-C interrupts the engines.`,
		example: `ipcore exec 'import os; os.getpid()'
			ipcore exec --targets 0,2 'print("hello")'
			ipcore exec script.py
			echo 'print(6*7)' | ipcore exec -`,
		flags: newFlags("exec"),
	}
	o.place.flags(c.flags)
	c.flags.StringVarP(&o.targets, "targets", "t", "", "engine `IDS`: 0,2 or 0-3 or all")
	c.flags.BoolVar(&o.silent, "silent", false, "print no values of expressions")
	c.flags.Var(&o.timeout, "timeout", "give up after this time (default never)")
	o.verbosity.flags(c.flags, "warn")
	c.run = func(ctx context.Context, args []string) error { return o.run(ctx, a, args) }
	return c
}

func (o *execOptions) run(ctx context.Context, a *app, args []string) error {
	code, err := readCode(a, args)
	if err != nil {
		return err
	}
	targets, err := parseTargets(o.targets)
	if err != nil {
		return err
	}
	log, err := o.logger(a.streams, "ipcore")
	if err != nil {
		return err
	}
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(o.timeout))
		defer cancel()
	}
	c, err := o.place.connect(ctx, log)
	if err != nil {
		return err
	}
	defer c.Close()

	show := &output{streams: a.streams}
	tasks, err := c.Start(targets, code, client.ExecuteOptions{Silent: o.silent, Output: show.stream})
	if errors.Is(err, client.ErrNoEngines) {
		return &hintedError{err: err, hint: "ipcore wait waits for engines"}
	}
	if err != nil {
		return err
	}
	release := interruptEngines(c, targets, a)
	defer release()

	failed := 0
	for _, task := range tasks {
		r, err := task.Wait(ctx)
		if err != nil {
			return fmt.Errorf("engine %d: %w", r.Engine, err)
		}
		show.result(&r)
		if r.Status != "ok" {
			failed++
		}
	}
	if failed > 0 {
		return &exitError{code: exitFailure, err: fmt.Errorf("the code failed on %d of %s", failed, count(len(tasks), "engine"))}
	}
	return nil
}

// interruptEngines passes Ctrl-C on to the engines; the second ends the command.
func interruptEngines(c *client.Client, targets []int, a *app) (release func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt)
	done := make(chan struct{})
	var passing sync.WaitGroup
	passing.Go(func() {
		select {
		case <-signals:
			signal.Stop(signals) // from now on the default: the end
			limited, cancel := context.WithTimeout(context.Background(), interruptLimit)
			defer cancel()
			if err := c.Signal(limited, targets, "SIGINT"); err != nil {
				a.errf("error: interrupt the engines: %v\n", err)
			}
		case <-done:
		}
	})
	return func() {
		signal.Stop(signals)
		close(done)
		passing.Wait()
	}
}

// readCode answers the code that the arguments stand for.
func readCode(a *app, args []string) (string, error) {
	if len(args) != 1 {
		return "", &usageError{text: fmt.Sprintf("exec takes the code as one argument, not %d", len(args)), hint: "quote the code: ipcore exec 'print(1)'"}
	}
	switch {
	case args[0] == "-":
		text, err := io.ReadAll(a.In)
		if err != nil {
			return "", fmt.Errorf("read the code from standard input: %w", err)
		}
		return string(text), nil
	case strings.HasSuffix(args[0], ".py") && !strings.ContainsAny(args[0], "\n(;= "):
		text, err := os.ReadFile(args[0])
		if err != nil {
			return "", fmt.Errorf("read the code: %w", err)
		}
		return string(text), nil
	}
	return args[0], nil
}

// parseTargets reads engine ids: "0,2", "0-3", "all". Nil is all.
func parseTargets(text string) ([]int, error) {
	if text == "" || text == "all" {
		return nil, nil
	}
	var ids []int
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		from, err := strconv.ParseUint(first, 10, 31)
		to := from
		if err == nil && isRange {
			to, err = strconv.ParseUint(last, 10, 31)
		}
		if err != nil || to < from || to-from > maxTargets {
			return nil, &usageError{text: fmt.Sprintf("--targets: %q is no engine id", part), hint: "use 0,2 or 0-3 or all"}
		}
		for id := int(from); id <= int(to); id++ {
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	return ids, nil
}

// maxTargets bounds a range of engine ids.
const maxTargets = 100_000

// output prints what comes from engines. Its stream method is called from the
// client's goroutines.
type output struct {
	*streams
	mu     sync.Mutex
	last   string // the header above the last text
	inLine bool   // the last text had no newline at its end
}

// stream prints text that an engine wrote, under a header when another engine
// or stream was the last.
func (o *output) stream(engine int, stream, text string) {
	if text == "" {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	w := o.Out
	if stream == "stderr" {
		w = o.Err
	}
	header := fmt.Sprintf("[%s:%d]", stream, engine)
	if header != o.last {
		o.newLine()
		fmt.Fprintln(w, header)
	}
	io.WriteString(w, text) //nolint:errcheck // as with every print
	o.last, o.inLine = header, !strings.HasSuffix(text, "\n")
}

// colours are the terminal's colour codes, which Python puts into tracebacks.
var colours = regexp.MustCompile("\x1b\\[[0-9;]*m")

// newLine ends a line that was left open.
func (o *output) newLine() {
	if o.inLine {
		fmt.Fprintln(o.Out)
		o.inLine = false
	}
}

// result prints the value or the error of an engine.
func (o *output) result(r *client.Result) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if text := r.Text(); text != "" {
		o.newLine()
		o.outf("Out[%d:%d]: %s\n", r.Engine, r.Count, text)
		o.last = ""
	}
	if r.Err == nil {
		return
	}
	o.newLine()
	o.last = ""
	o.errf("[error:%d]\n", r.Engine)
	if text := strings.TrimRight(r.Err.TracebackText(), "\n"); text != "" {
		if !o.Terminal {
			text = colours.ReplaceAllString(text, "")
		}
		o.errf("%s\n", text)
		return
	}
	o.errf("%s: %s\n", r.Err.Ename, r.Err.Evalue)
}
