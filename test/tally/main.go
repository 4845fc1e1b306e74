// Command tally counts test results.
//
//	go test -json ./... | tally run -name unit -dir build/results
//	tally sum -dir build/results [-only 'test-*'] [-no-skips]
//
// run prints what a developer wants to see of go test's event stream (a line for
// each package, the output of failed tests, the names of skipped ones) and writes
// the counts to <dir>/<name>.json; its exit code is 1 when a test failed. sum adds
// up all such files, whoever wrote them, and ends with the line "N passed, N failed".
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// Result is the content of one file of counts. The Python suites write the same.
type Result struct {
	Name    string   `json:"name"`
	Passed  int      `json:"passed"`
	Failed  []string `json:"failed"`
	Skipped []string `json:"skipped"`
}

// event is one line of go test -json.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64
}

func main() {
	if err := command(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func command(args []string, in io.Reader, out io.Writer) error {
	if len(args) == 0 {
		return errors.New("usage: tally run|sum [flags]")
	}
	flags := flag.NewFlagSet("tally "+args[0], flag.ContinueOnError)
	name := flags.String("name", "go", "name of this run")
	dir := flags.String("dir", "build/results", "folder of the counts")
	only := flags.String("only", "*", "names to add up, as a pattern")
	noSkips := flags.Bool("no-skips", false, "a skipped test is a failure")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "run":
		result, err := read(in, out)
		if err != nil {
			return err
		}
		result.Name = *name
		if err := save(*dir, result); err != nil {
			return err
		}
		if n := len(result.Failed); n > 0 {
			return fmt.Errorf("%s: %d failed", *name, n)
		}
		return nil
	case "sum":
		return sum(*dir, *only, *noSkips, out)
	}
	return fmt.Errorf("unknown command %q", args[0])
}

// read turns the event stream into counts. Output of a test is kept until it is
// known whether it passed. A package that fails without a failed test (it did
// not compile, or its TestMain ended the process) counts as one failure.
func read(in io.Reader, out io.Writer) (Result, error) {
	var result Result
	kept := map[string][]string{}
	blamed := map[string]bool{}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(out, lines.Text()) // the go command's own messages
			continue
		}
		id := e.Package
		if e.Test != "" {
			id += " " + e.Test
		}
		switch e.Action {
		case "output", "build-output":
			if e.Action == "build-output" {
				fmt.Fprint(out, e.Output)
				continue
			}
			kept[id] = append(kept[id], e.Output)
		case "pass":
			if e.Test != "" {
				result.Passed++
			} else {
				fmt.Fprintf(out, "ok    %-60s %6.1fs\n", e.Package, e.Elapsed)
			}
			delete(kept, id)
		case "skip":
			if e.Test != "" {
				result.Skipped = append(result.Skipped, id)
				printAll(out, kept[id])
			}
			delete(kept, id)
		case "fail":
			if e.Test == "" {
				fmt.Fprintf(out, "FAIL  %-60s %6.1fs\n", e.Package, e.Elapsed)
			}
			if e.Test != "" || !blamed[e.Package] {
				result.Failed = append(result.Failed, id)
				blamed[e.Package] = true
				printAll(out, kept[id])
			}
			delete(kept, id)
		}
	}
	// What is left began and never ended: the stream broke off.
	for id, output := range kept {
		if len(output) > 0 && !slices.Contains(result.Failed, id) {
			printAll(out, output)
		}
	}
	if err := lines.Err(); err != nil {
		return result, fmt.Errorf("read test events: %w", err)
	}
	if result.Passed == 0 && len(result.Failed) == 0 {
		return result, errors.New("no test ran")
	}
	return result, nil
}

func printAll(out io.Writer, lines []string) {
	for _, l := range lines {
		fmt.Fprint(out, l)
	}
}

func save(dir string, r Result) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, r.Name+".json"), append(text, '\n'), 0o644)
}

func sum(dir, only string, noSkips bool, out io.Writer) error {
	files, err := filepath.Glob(filepath.Join(dir, only+".json"))
	if err != nil {
		return err
	}
	var passed int
	var failed, skipped []string
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		var r Result
		if err := json.Unmarshal(text, &r); err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
		fmt.Fprintf(out, "%-28s %5d passed %3d failed %3d skipped\n", r.Name, r.Passed, len(r.Failed), len(r.Skipped))
		passed += r.Passed
		for _, t := range r.Failed {
			failed = append(failed, r.Name+": "+t)
		}
		for _, t := range r.Skipped {
			skipped = append(skipped, r.Name+": "+t)
		}
	}
	for _, t := range failed {
		fmt.Fprintln(out, "failed: ", t)
	}
	for _, t := range skipped {
		fmt.Fprintln(out, "skipped:", t)
	}
	if len(skipped) > 0 && !noSkips {
		fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", passed, len(failed), len(skipped))
	} else {
		fmt.Fprintf(out, "%d passed, %d failed\n", passed, len(failed))
	}
	switch {
	case len(failed) > 0:
		return fmt.Errorf("%d tests failed", len(failed))
	case noSkips && len(skipped) > 0:
		return fmt.Errorf("%d tests were skipped, and here none may be", len(skipped))
	case passed == 0:
		return errors.New("no test ran")
	}
	return nil
}
