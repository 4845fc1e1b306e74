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

	"github.com/spf13/cobra"

	"github.com/ipcore/ipcore/cmd/ipcore/internal/cli"
	"github.com/ipcore/ipcore/core/client"
)

// interruptLimit is how long to try to interrupt the engines.
const interruptLimit = 3 * time.Second

type execOptions struct {
	cli.ClusterOptions
	targets string
	silent  bool
	timeout cli.Seconds
}

func newExec(a *cli.App) *cli.Command {
	o := &execOptions{}
	c := cli.NewCommand(&cobra.Command{
		Use:   "exec 'code' [--targets 0,2]",
		Short: "run code on engines and print what they print",
		Long: `Run Python code on all engines, or on some. The output of an engine is shown as it comes,
after a line [stdout:ID]; the value of a last expression as Out[ID:COUNT]. The argument is
the code itself, the name of a file that ends in .py, or - for standard input. The exit
code is 1 when the code failed on an engine. Ctrl-C interrupts the engines.`,
		Example: `ipcore exec 'import os; os.getpid()'
			ipcore exec --targets 0,2 'print("hello")'
			ipcore exec script.py
			echo 'print(6*7)' | ipcore exec -`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), a, args) },
	})
	c.Flags().StringVarP(&o.targets, "targets", "t", "", "engine `IDS`: 0,2 or 0-3 or all")
	c.Complete("targets", cli.Choices("all"))
	c.Flags().BoolVar(&o.silent, "silent", false, "print no values of expressions")
	c.Flags().Var(&o.timeout, "timeout", "give up after this time (default never)")
	o.AddFlags(c, "warn")
	return c
}

func (o *execOptions) run(ctx context.Context, a *cli.App, args []string) error {
	code, err := readCode(a, args)
	if err != nil {
		return err
	}
	targets, err := parseTargets(o.targets)
	if err != nil {
		return err
	}
	log, err := o.Logger(a.Streams, "ipcore")
	if err != nil {
		return err
	}
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(o.timeout))
		defer cancel()
	}
	c, err := o.Connect(ctx, log)
	if err != nil {
		return err
	}
	defer c.Close()

	show := &output{Streams: a.Streams}
	tasks, err := c.Start(targets, code, client.ExecuteOptions{Silent: o.silent, Output: show.stream})
	if errors.Is(err, client.ErrNoEngines) {
		return cli.WithHint(err, "to wait for engines: ipcore wait")
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
		return cli.WithExitCode(cli.ExitFailure, fmt.Errorf("the code failed on %d of %s", failed, cli.Count(len(tasks), "engine")))
	}
	return nil
}

// interruptEngines passes the first Ctrl-C to the engines; the second one ends the
// command.
func interruptEngines(c *client.Client, targets []int, a *cli.App) (release func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt)
	done := make(chan struct{})
	var passing sync.WaitGroup
	passing.Go(func() {
		select {
		case <-signals:
			signal.Stop(signals) // the next one has its default effect
			limited, cancel := context.WithTimeout(context.Background(), interruptLimit)
			defer cancel()
			if err := c.Signal(limited, targets, "SIGINT"); err != nil {
				a.Errf("error: interrupt the engines: %v\n", err)
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

// readCode returns the code that the arguments name.
func readCode(a *cli.App, args []string) (string, error) {
	if len(args) != 1 {
		return "", cli.UsageError(fmt.Sprintf("exec takes the code as one argument, not %d", len(args)), "quote the code: ipcore exec 'print(1)'")
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

// parseTargets returns the engine ids of "0,2" or "0-3", and nil for "all".
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
			return nil, cli.UsageError(fmt.Sprintf("--targets: %q is not an engine id", part), "use 0,2 or 0-3 or all")
		}
		for id := int(from); id <= int(to); id++ {
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	return ids, nil
}

// maxTargets is the largest size of a range of engine ids.
const maxTargets = 100_000

// output prints the output of engines. Its stream method is called from the client's
// goroutines.
type output struct {
	*cli.Streams
	mu     sync.Mutex
	last   string // the header above the last text
	inLine bool   // the last text did not end with a newline
}

// stream prints text that an engine wrote, with a header if the last text came from
// another engine or stream.
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

// colours matches a terminal's colour codes, which Python puts into tracebacks.
var colours = regexp.MustCompile("\x1b\\[[0-9;]*m")

// newLine ends a line that has no newline yet.
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
		o.Outf("Out[%d:%d]: %s\n", r.Engine, r.Count, text)
		o.last = ""
	}
	if r.Err == nil {
		return
	}
	o.newLine()
	o.last = ""
	o.Errf("[error:%d]\n", r.Engine)
	if text := strings.TrimRight(r.Err.TracebackText(), "\n"); text != "" {
		if !o.Terminal {
			text = colours.ReplaceAllString(text, "")
		}
		o.Errf("%s\n", text)
		return
	}
	o.Errf("%s: %s\n", r.Err.Ename, r.Err.Evalue)
}
