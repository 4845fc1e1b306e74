package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/ipcore/ipcore/test/load"
)

// stage is a scenario that peers are measured with, in turns. A peer without
// settings is left out.
type stage struct {
	scenario string
	settings map[string]settings
}

// encrypt are the words that have controllers encrypt.
var encrypt = map[string]string{ours: "--IPController.enable_curve=True", bare: "--curve"}

// stages are what "ipload peers" measures. Upstream's takes fewer tasks: it
// needs a millisecond for each.
var stages = []stage{
	{"life", map[string]settings{ours: {}, upstream: {}}},
	{"task", map[string]settings{ours: {engines: 16, tasks: 40000, window: 2000}, upstream: {engines: 16, tasks: 4000, window: 2000}}},
	{"task", map[string]settings{ours: {engines: 1024, tasks: 40000, window: 2000}, upstream: {engines: 1024, tasks: 2000, window: 2000}}},
	{"mux", map[string]settings{ours: {engines: 16, tasks: 40000, window: 2000}, upstream: {engines: 16, tasks: 4000, window: 2000}, bare: {engines: 16, tasks: 40000, window: 2000}}},
	{"mux", map[string]settings{ours: {engines: 16, tasks: 40000, window: 16}, bare: {engines: 16, tasks: 40000, window: 16}}},
	{"mux", map[string]settings{ours: {engines: 128, tasks: 40000, window: 2000}, bare: {engines: 128, tasks: 40000, window: 2000}}},
	{"mux", map[string]settings{ours: {engines: 1024, tasks: 40000, window: 2000}, bare: {engines: 1024, tasks: 40000, window: 2000}}},
	{"mux", map[string]settings{ours: {engines: 16, tasks: 40000, window: 2000, curve: true}, bare: {engines: 16, tasks: 40000, window: 2000, curve: true}}},
	{"mux", map[string]settings{ours: {engines: 128, tasks: 40000, window: 2000, curve: true}, bare: {engines: 128, tasks: 40000, window: 2000, curve: true}}},
	{"mux", map[string]settings{ours: {engines: 16, tasks: 3000, window: 1}, bare: {engines: 16, tasks: 3000, window: 1}}},
	{"latency", map[string]settings{ours: {engines: 16, tasks: 3000}, upstream: {engines: 16, tasks: 300}}},
	{"large", map[string]settings{ours: {engines: 1, tasks: 4, bytes: 100 << 20}, bare: {engines: 1, tasks: 4, bytes: 100 << 20}}},
	{"register", map[string]settings{ours: {engines: 128}, upstream: {engines: 128}}},
	{"register", map[string]settings{ours: {engines: 2048}}},
	{"broadcast", map[string]settings{ours: {engines: 1024}, upstream: {engines: 1024}}},
}

// peers compares controllers.
func peers(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("ipload peers", flag.ExitOnError)
	commands := map[string]*string{
		ours:     flags.String(ours, "", "`COMMAND` of our controller"),
		upstream: flags.String(upstream, "", "`COMMAND` of upstream's"),
		bare:     flags.String(bare, "", "`COMMAND` of a bare forwarder"),
	}
	about := flags.String("about", "", "what the bare forwarder is, for the heading")
	runs := flags.Int("runs", 5, "repetitions of each stage")
	only := flags.String("only", "", "stages whose scenario has this name")
	engines := flags.Int("engines", 0, "stages with this number of engines")
	file := flags.String("thresholds", "", "`FILE` of limits")
	if err := flags.Parse(args); err != nil {
		return err
	}
	limits, err := readLimits(*file)
	if err != nil {
		return err
	}
	all := &table{}
	var failures []error
	for _, st := range stages {
		if *only != "" && st.scenario != *only {
			continue
		}
		for range *runs {
			for _, who := range []string{ours, upstream, bare} {
				s, wanted := st.settings[who]
				command := strings.Fields(*commands[who])
				if !wanted || len(command) == 0 || *engines != 0 && s.engines != *engines {
					continue
				}
				if s.curve {
					command = append(command, encrypt[who])
				}
				got, err := measure(ctx, who, st.scenario, s, command)
				if err != nil {
					if ctx.Err() != nil {
						return err
					}
					failures = append(failures, fmt.Errorf("%s, %s with %d engines: %w", who, st.scenario, s.engines, err))
					fmt.Fprintln(os.Stderr, "error:", failures[len(failures)-1])
				}
				for _, f := range got {
					fmt.Fprintf(os.Stderr, "  %s: %s: %s\n", f.name, who, short(f.value))
				}
				all.add(who, got...)
			}
		}
	}
	fmt.Fprintf(os.Stdout, "\n%s, %d cores, %s", time.Now().Format(time.DateTime), runtime.NumCPU(), runtime.Version())
	if *about != "" {
		fmt.Fprintf(os.Stdout, "; bare: %s", *about)
	}
	fmt.Fprintf(os.Stdout, "\nControllers take turns; CPU is of all processes of a controller for each request, its record included.\n\n")
	broken := all.compare(os.Stdout, limits)
	if len(broken) > 0 {
		failures = append(failures, fmt.Errorf("limits not kept: %s", strings.Join(broken, "; ")))
	}
	return errors.Join(failures...)
}

func measure(ctx context.Context, who, scenario string, s settings, command []string) ([]figure, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if scenario == "life" {
		return life(ctx, command)
	}
	start := load.Start
	if who == bare {
		start = load.StartBare
	}
	return run(ctx, func(ctx context.Context) (*load.Controller, error) { return start(ctx, command...) }, scenario, s)
}

func readLimits(file string) (map[string]limit, error) {
	limits := map[string]limit{}
	if file == "" {
		return limits, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &limits); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return limits, nil
}
