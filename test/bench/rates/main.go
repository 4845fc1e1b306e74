// Command rates measures a running cluster through the Go client: the rate of
// no-op tasks through the task queue, and the latency of one blocking request.
// bench.py runs it and reads the JSON that it prints.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ipcore/ipcore/core/client"
)

func main() {
	profile := flag.String("profile-dir", "", "profile directory of the running cluster")
	tasks := flag.Int("tasks", 5000, "tasks for the rate")
	requests := flag.Int("requests", 1000, "requests for the latency")
	flag.Parse()
	if err := run(*profile, *tasks, *requests); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(profile string, tasks, requests int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	f, err := measure(ctx, profile, tasks, requests)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(f)
}

// figures are what was measured.
type figures struct {
	Rate float64 `json:"tasks_per_second"`
	P50  float64 `json:"p50_ms"`
	P99  float64 `json:"p99_ms"`
}

func measure(ctx context.Context, profile string, tasks, requests int) (figures, error) {
	var f figures
	c, err := client.Connect(ctx, client.Options{File: filepath.Join(profile, "security", "ipcontroller-client.json")})
	if err != nil {
		return f, err
	}
	defer c.Close()
	if err := c.WaitForEngines(ctx, 1, nil); err != nil {
		return f, err
	}
	silent := client.ExecuteOptions{Silent: true}

	began := time.Now()
	all := make([]*client.Task, 0, tasks)
	for range tasks {
		t, err := c.Submit("None", client.TaskOptions{ExecuteOptions: silent})
		if err != nil {
			return f, err
		}
		all = append(all, t)
	}
	results, err := client.Gather(ctx, all)
	if err != nil {
		return f, err
	}
	f.Rate = float64(tasks) / time.Since(began).Seconds()
	if err := client.Errors(results); err != nil {
		return f, err
	}

	one := c.IDs()[:1]
	took := make([]time.Duration, 0, requests)
	for range requests {
		began := time.Now()
		if _, err := c.Execute(ctx, one, "None", silent); err != nil {
			return f, err
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	at := func(q float64) float64 { return took[int(q*float64(len(took)-1))].Seconds() * 1e3 }
	f.P50, f.P99 = at(0.5), at(0.99)
	return f, nil
}
