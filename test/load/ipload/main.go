// Command ipload puts load on a controller and prints what it costs.
//
//	ipload -scenario task -engines 16 -tasks 50000 -- bin/ipcore controller --profile-dir={dir}
//	ipload -scenario mux -engines 128 -- python3 -m ipyparallel.controller --profile-dir={dir}
//	ipload -scenario mux -bare -- build/forwarder
//	ipload -scenario task -client-file C.json -engine-file E.json -pid 4711
//	ipload peers -ours '…' -upstream '…' -bare '…' -thresholds test/bench/thresholds.json
//
// After "--" comes the command of a controller that is started for each run in
// a profile of its own, which {dir} stands for. "ipload peers" measures several
// controllers in turns and compares them.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/ipcore/ipcore/test/load"
)

// gcPercent leaves the collector of the generator little to do: the processors
// are what the controller is measured on.
const gcPercent = 800

func main() {
	debug.SetGCPercent(gcPercent)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	var err error
	if len(os.Args) > 1 && os.Args[1] == "peers" {
		err = peers(ctx, os.Args[2:])
	} else {
		err = single(ctx, os.Args[1:])
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// settings are those of one scenario.
type settings struct {
	engines int
	tasks   int
	window  int
	bytes   int
	steps   int
	curve   bool // the controller is told to encrypt
}

// scenarios measure a rig and answer figures. life has none.
var scenarios = map[string]func(context.Context, *load.Harness, settings) ([]figure, error){
	"register":  register,
	"task":      task,
	"mux":       mux,
	"latency":   latency,
	"large":     large,
	"broadcast": broadcast,
	"memory":    memory,
}

// figure is one measured value.
type figure struct {
	name  string
	value float64
}

func single(ctx context.Context, args []string) error {
	var s settings
	flags := flag.NewFlagSet("ipload", flag.ExitOnError)
	name := flags.String("scenario", "task", "life, register, task, mux, latency, large, broadcast or memory")
	flags.IntVar(&s.engines, "engines", 16, "synthetic engines")
	flags.IntVar(&s.tasks, "tasks", 20000, "requests of a run")
	flags.IntVar(&s.window, "window", 2000, "requests under way at most (task, mux)")
	flags.IntVar(&s.bytes, "bytes", 100<<20, "size of a large buffer")
	flags.IntVar(&s.steps, "steps", 10, "parts of a run after each of which memory is shown (memory)")
	runs := flags.Int("runs", 5, "repetitions")
	timeout := flags.Duration("timeout", 5*time.Minute, "of one run")
	bare := flags.Bool("bare", false, "the command is a forwarder that prints the ports of its two ROUTERs")
	clientFile := flags.String("client-file", "", "connection file of a running controller")
	engineFile := flags.String("engine-file", "", "its other connection file")
	pid := flags.Int("pid", 0, "its first process, for its CPU and memory")
	if err := flags.Parse(args); err != nil {
		return err
	}
	start := func(ctx context.Context) (*load.Controller, error) { return load.Start(ctx, flags.Args()...) }
	switch {
	case *clientFile != "":
		start = func(context.Context) (*load.Controller, error) {
			return load.Attach(*clientFile, *engineFile, *pid)
		}
	case flags.NArg() == 0:
		return fmt.Errorf("no controller: give its command after --, or -client-file, -engine-file and -pid")
	case *bare:
		start = func(ctx context.Context) (*load.Controller, error) { return load.StartBare(ctx, flags.Args()...) }
	}
	all := &table{}
	for range *runs {
		err := func() error {
			ctx, cancel := context.WithTimeout(ctx, *timeout)
			defer cancel()
			var got []figure
			var err error
			if *name == "life" {
				got, err = life(ctx, flags.Args())
			} else {
				got, err = run(ctx, start, *name, s)
			}
			all.add("", got...)
			return err
		}()
		if err != nil {
			return err
		}
	}
	all.print(os.Stdout)
	return nil
}

// run starts a controller, registers engines, measures, and stops it.
func run(ctx context.Context, start func(context.Context) (*load.Controller, error), name string, s settings) (got []figure, err error) {
	scenario, known := scenarios[name]
	if !known {
		return nil, fmt.Errorf("unknown scenario %q", name)
	}
	c, err := start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if stopErr := c.Stop(context.WithoutCancel(ctx)); err == nil {
			err = stopErr
		}
	}()
	rig, in, err := load.NewHarness(ctx, c, s.engines)
	if err != nil {
		return nil, err
	}
	defer rig.Close()
	if c.Client.Registration != 0 {
		got = append(got, figure{fmt.Sprintf("registration of %d engines, s", s.engines), in.Executed.Seconds()})
	}
	more, err := scenario(ctx, rig, s)
	return append(got, more...), err
}

// register is done when the rig is there.
func register(_ context.Context, r *load.Harness, s settings) ([]figure, error) {
	m, err := r.Memory()
	return []figure{{fmt.Sprintf("%d idle engines, RSS, MB", s.engines), float64(m.RSS) / 1e6}}, err
}

func task(ctx context.Context, r *load.Harness, s settings) ([]figure, error) {
	rate, err := r.Tasks(ctx, s.tasks, s.window)
	if err != nil {
		return nil, err
	}
	return rates("task", s.engines, rate), nil
}

func mux(ctx context.Context, r *load.Harness, s settings) ([]figure, error) {
	rate, err := r.Mux(ctx, s.tasks, s.window)
	if err != nil {
		return nil, err
	}
	what := "mux"
	switch {
	case s.curve:
		what = "mux with CURVE"
	case s.window == 1:
		what = "mux one at a time"
	case s.window == s.engines: // what a task queue with a hwm of 1 allows
		what = "mux one at a time each"
	}
	got := rates(what, s.engines, rate)
	if s.window == 1 {
		got = append(got, figure{fmt.Sprintf("%s, %d engines: p50, us", what, s.engines), micros(rate.Quantile(0.5))})
	}
	return got, nil
}

func rates(what string, engines int, r *load.Rate) []figure {
	got := []figure{
		{fmt.Sprintf("%s, %d engines: controller CPU, us", what, engines), micros(r.CPU)},
		{fmt.Sprintf("%s, %d engines: replies, 1/s", what, engines), r.PerSecond},
	}
	if r.Recorded > 0 {
		got = append(got, figure{fmt.Sprintf("%s, %d engines: recorded, 1/s", what, engines), r.Recorded})
	}
	return got
}

// latency measures one task at a time, then the same while the hub is busy.
func latency(ctx context.Context, r *load.Harness, s settings) ([]figure, error) {
	var got []figure
	var alone float64
	for _, with := range []struct {
		what      string
		questions []load.Questions
	}{
		{"alone", nil},
		{"queue_request in a loop", []load.Questions{load.QueueStatus}},
		{"db_request of everything in a loop", []load.Questions{load.EverythingEver}},
	} {
		rate, _, err := r.Latency(ctx, s.tasks, with.questions...)
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("one at a time, %d engines, %s: ", s.engines, with.what)
		p50 := micros(rate.Quantile(0.5))
		got = append(got, figure{name + "p50, us", p50}, figure{name + "p99, us", micros(rate.Quantile(0.99))})
		if with.questions == nil {
			alone = p50
		} else {
			got = append(got, figure{name + "p50, times alone", p50 / alone})
		}
	}
	return got, nil
}

func large(ctx context.Context, r *load.Harness, s settings) ([]figure, error) {
	defer debug.SetGCPercent(debug.SetGCPercent(100)) // else each buffer gets memory of its own, which costs more than to collect
	rate, err := r.Large(ctx, s.tasks, s.bytes)
	if err != nil {
		return nil, err
	}
	size := float64(s.bytes) / 1e6
	return []figure{
		{fmt.Sprintf("buffers of %.0f MB there and back, MB/s", size), 2 * size * rate.PerSecond},
		{fmt.Sprintf("buffers of %.0f MB there and back: controller CPU, us", size), micros(rate.CPU)},
	}, nil
}

func broadcast(ctx context.Context, r *load.Harness, s settings) ([]figure, error) {
	var got []figure
	for _, coalescing := range []bool{true, false} {
		took, err := r.Broadcast(ctx, 5, coalescing)
		if err != nil {
			return nil, err
		}
		how := "each reply its own"
		if coalescing {
			how = "coalescing"
		}
		got = append(got, figure{fmt.Sprintf("broadcast to %d engines, %s, ms", s.engines, how), took[len(took)/2].Seconds() * 1e3})
	}
	return got, nil
}

// memory shows what many tasks leave behind.
func memory(ctx context.Context, r *load.Harness, s settings) ([]figure, error) {
	idle, err := r.Memory()
	if err != nil {
		return nil, err
	}
	got := []figure{{fmt.Sprintf("%d idle engines, RSS, MB", s.engines), float64(idle.RSS) / 1e6}}
	for i := range s.steps {
		rate, err := r.Tasks(ctx, s.tasks/s.steps, s.window)
		if err != nil {
			return nil, err
		}
		now, err := r.Memory()
		if err != nil {
			return nil, err
		}
		tasks := (i + 1) * (s.tasks / s.steps)
		got = append(got, figure{fmt.Sprintf("%d records after %8d tasks, RSS, MB", rate.Kept, tasks), float64(now.RSS) / 1e6})
	}
	return got, nil
}

func life(ctx context.Context, command []string) ([]figure, error) {
	l, err := load.MeasureLife(ctx, command...)
	return []figure{
		{"controller answers, ms", l.Answered.Seconds() * 1e3},
		{"controller stops, ms", l.Stopped.Seconds() * 1e3},
		{"controller alone, RSS, MB", float64(l.Memory.RSS) / 1e6},
		{"controller alone, PSS, MB", float64(l.Memory.PSS) / 1e6},
		{"controller alone, processes", float64(l.Processes)},
	}, err
}

func micros(d time.Duration) float64 { return float64(d) / 1e3 }

// median returns the middle value, the least and the greatest.
func median(values []float64) (middle, least, most float64) {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	if n == 0 {
		return 0, 0, 0
	}
	return (v[(n-1)/2] + v[n/2]) / 2, v[0], v[n-1]
}

func show(values []float64) string {
	if len(values) == 0 {
		return ""
	}
	m, lo, hi := median(values)
	return fmt.Sprintf("%s (%s–%s)", short(m), short(lo), short(hi))
}

// short writes a number with three or more digits.
func short(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return strings.TrimSuffix(fmt.Sprintf("%.3g", v), ".0")
}
