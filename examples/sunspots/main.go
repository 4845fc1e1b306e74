// Command sunspots computes on the engines of a running cluster how long the
// solar cycle is, and how sure one can be. It shows the Go client at work; see
// the README next to it, and demo.sh, which starts the cluster.
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/ipcore/ipcore/core/client"
)

//go:embed cycle.py
var code string

//go:embed sunspots.csv
var csv string

const (
	perTask  = 25  // series that one task resamples
	oneTasks = 12  // tasks for the run on one engine
	allTasks = 100 // tasks for the run on all engines
)

func main() {
	profile := flag.String("profile-dir", "", "profile directory of the running cluster")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *profile, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, profile string, out io.Writer, screen *os.File) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	numbers, first, last, err := parse(csv)
	if err != nil {
		return err
	}
	c, err := client.Connect(ctx, client.Options{File: filepath.Join(profile, "security", "ipcontroller-client.json")})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.WaitForEngines(ctx, 1, nil); err != nil {
		return err
	}
	engines := c.IDs()

	// The code and the data go to every engine once; tasks then name them.
	setup := fmt.Sprintf("%s\nnumbers = [%s]\nstrongest_period(numbers)", code, strings.Join(numbers, ", "))
	results, err := c.Execute(ctx, engines, setup, client.ExecuteOptions{})
	if err == nil {
		err = client.Errors(results)
	}
	if err != nil {
		return fmt.Errorf("prepare the engines: %w", err)
	}
	fmt.Fprintf(out, "Yearly sunspot numbers, %s to %s: the strongest period is %s years.\n", first, last, results[0].Text())
	fmt.Fprintf(out, "How sure is that? %d resampled series will tell.\n\n", (oneTasks+allTasks)*perTask)

	bar := progress(screen, oneTasks+allTasks)
	one, oneRate, err := bootstrap(ctx, c, engines[:1], 0, oneTasks, bar)
	if err != nil {
		return err
	}
	all, allRate, err := bootstrap(ctx, c, engines, oneTasks, allTasks, bar)
	if err != nil {
		return err
	}
	if err := bar.Finish(); err != nil {
		return err
	}

	periods := slices.Sorted(slices.Values(append(one, all...)))
	at := func(q float64) float64 { return periods[int(q*float64(len(periods)-1))] }
	fmt.Fprintf(out, "\nThe solar cycle lasts %.1f years; 95%% of the series say %.1f to %.1f years.\n", at(0.5), at(0.025), at(0.975))
	fmt.Fprintf(out, "\none engine    %6.0f series/s\n%-2d engines    %6.0f series/s: %.2f times as fast, on %d CPUs\n",
		oneRate, len(engines), allRate, allRate/oneRate, runtime.NumCPU())
	return nil
}

// parse returns the numbers of the file as text, and its first and last year.
func parse(csv string) (numbers []string, first, last string, err error) {
	lines := strings.Split(strings.TrimSpace(csv), "\n")[1:]
	for _, line := range lines {
		year, number, ok := strings.Cut(line, ",")
		if !ok {
			return nil, "", "", fmt.Errorf("sunspots.csv: line %q has no comma", line)
		}
		if first == "" {
			first = year
		}
		last = year
		numbers = append(numbers, number)
	}
	return numbers, first, last, nil
}

// bootstrap has n tasks run by the engines, through the task queue, and returns
// all periods found and the rate of series. seed is the first task's; each task
// has its own, so the result depends neither on the engines nor on their order.
func bootstrap(ctx context.Context, c *client.Client, engines []int, seed, n int, bar *progressbar.ProgressBar) ([]float64, float64, error) {
	began := time.Now()
	ended := make(chan struct{}, n)
	tasks := make([]*client.Task, 0, n)
	for i := range n {
		t, err := c.Submit(fmt.Sprintf("bootstrap(numbers, %d, %d)", seed+i, perTask), client.TaskOptions{
			Targets: engines,
			Done:    func(*client.Task) { ended <- struct{}{} },
		})
		if err != nil {
			return nil, 0, err
		}
		tasks = append(tasks, t)
	}
	for range n {
		select {
		case <-ended:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
		if err := bar.Add(1); err != nil {
			return nil, 0, err
		}
	}
	took := time.Since(began).Seconds()

	results, err := client.Gather(ctx, tasks)
	if err = errors.Join(err, client.Errors(results)); err != nil {
		return nil, 0, err
	}
	var periods []float64
	for _, r := range results {
		var some []float64
		if err := json.Unmarshal([]byte(r.Text()), &some); err != nil {
			return nil, 0, fmt.Errorf("engine %d answered %.60q: %w", r.Engine, r.Text(), err)
		}
		periods = append(periods, some...)
	}
	return periods, float64(len(periods)) / took, nil
}

// progress is a bar on a terminal, and nothing elsewhere.
func progress(screen *os.File, n int) *progressbar.ProgressBar {
	if !term.IsTerminal(int(screen.Fd())) {
		return progressbar.NewOptions(n, progressbar.OptionSetWriter(io.Discard))
	}
	return progressbar.NewOptions(n,
		progressbar.OptionSetWriter(screen), progressbar.OptionSetDescription("tasks"),
		progressbar.OptionSetWidth(30), progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())
}
