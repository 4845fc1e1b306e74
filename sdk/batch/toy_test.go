//go:build unix

package batch

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ipcore/ipcore/sdk"
)

// The toy is a small real batch system: its commands are this test binary, its jobs are
// processes, and its records are files in $TOY_DIR. The file "fault" in that folder
// makes commands fail: "query=down".

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "toy" {
		os.Exit(toy(os.Args[2], os.Args[3:]))
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "batch-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		if toyProgram, err = os.Executable(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		// With the race detector a process takes four times as long to start, and these
		// tests start thousands of the toy's.
		info, ok := debug.ReadBuildInfo()
		if ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
			toyProgram = filepath.Join(dir, "toy")
			build := exec.Command("go", "test", "-c", "-trimpath", "-ldflags=-s -w", "-o", toyProgram, ".")
			build.Env = append(os.Environ(), "CGO_ENABLED=0")
			if out, err := build.CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "build the toy: %v\n%s", err, out)
				return 1
			}
		}
		return m.Run()
	}())
}

// toyProgram is the test binary that is the toy's commands.
var toyProgram string

// toySystem describes the toy.
func toySystem() System {
	command := func(words ...string) []string { return append([]string{toyProgram, "toy"}, words...) }
	return System{
		Name: "toy", Title: "Toy", Class: "Toy", Package: "this test",
		Submit: command("submit", "{script}"), Delete: command("delete", "{id}"), Signal: command("signal", "{signal}", "{id}"),
		Query: command("query", "{ids}"), IDSeparator: ",", List: command("list"), Check: command("check"),
		Lookup: [][]string{command("lookup", "{id}")},
		JobID:  regexp.MustCompile(`accepted job (\d+)`),
		Gone:   regexp.MustCompile(`no such job`), Down: regexp.MustCompile(`cannot reach`),
		Parse:       toyParse,
		ParseLookup: func(_ int, _ string, out []byte) ([]Record, error) { return toyParse(out) },
		Element:     func(id string, index int) string { return fmt.Sprintf("%s.%d", id, index) },
		Dialect: Dialect{
			Shebang: "#!/bin/sh", Prefix: "#TOY ", Index: "$TOY_INDEX", SpoolsOutput: true,
			Directives: map[string]Directive{
				DirectiveArray: {Form: "array {n}", Match: regexp.MustCompile(`(?m)^#TOY array `)},
				"name":         {Form: "name {value}", Match: regexp.MustCompile(`(?m)^#TOY name `)},
				"queue":        {Form: "queue {value}", Match: regexp.MustCompile(`(?m)^#TOY queue `)},
				"output_file":  {Form: "output {value}", Match: regexp.MustCompile(`(?m)^#TOY output `)},
				"time_limit":   {Form: "time {value}"}, "memory": {Form: "memory {value}"},
			},
		},
		SettleTime: 300 * time.Millisecond,
		tick:       50 * time.Millisecond,
	}
}

func toyParse(out []byte) ([]Record, error) {
	var all []Record
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) != 5 {
			return nil, fmt.Errorf("%q is not a line of the toy", line)
		}
		index, _ := strconv.Atoi(f[1])
		code, _ := strconv.Atoi(f[3])
		r := Record{ID: f[0], Index: index, State: JobState(f[2]), Code: -1, Name: f[4]}
		switch r.State {
		case Queued:
			r.Reason = "Resources"
		case Completed:
			r.Code = 0
		case Failed:
			if r.Code = code; code > 128 {
				r.Code, r.Signal = -1, map[int]string{9: "SIGKILL", 15: "SIGTERM"}[code-128]
			}
		}
		all = append(all, r)
	}
	return all, nil
}

// toy runs one command and returns its exit code.
func toy(verb string, args []string) int {
	dir := os.Getenv("TOY_DIR")
	log, _ := os.OpenFile(filepath.Join(dir, "calls"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	fmt.Fprintln(log, verb, strings.Join(args, " "))
	log.Close()
	faults, _ := os.ReadFile(filepath.Join(dir, "fault"))
	fault := ""
	for f := range strings.FieldsSeq(string(faults)) {
		if name, kind, _ := strings.Cut(f, "="); name == verb || name == "all" {
			fault = kind
		}
	}
	switch fault {
	case "down":
		fmt.Fprintln(os.Stderr, "toy: cannot reach the server")
		return 1
	case "hang":
		time.Sleep(time.Hour)
	case "empty":
		return 0
	case "garbage":
		fmt.Println("<html>502 Bad Gateway</html>")
		return 0
	case "refused":
		fmt.Fprintln(os.Stderr, "toy: unknown queue")
		return 3
	case "ignored":
		return 0
	}
	switch verb {
	case "submit":
		return toySubmit(dir, args, fault)
	case "run":
		return toyRun(dir, args)
	case "check":
		fmt.Println("would start at once")
		return 0
	case "delete", "signal":
		signal := syscall.SIGTERM
		if verb == "signal" {
			n, _ := strconv.Atoi(args[0])
			signal, args = syscall.Signal(n), args[1:]
		}
		jobs := toyJobs(dir, strings.Split(args[0], ".")[0])
		if len(jobs) == 0 {
			fmt.Fprintln(os.Stderr, "toy: no such job")
			return 1
		}
		for _, j := range jobs {
			id, index, one := strings.Cut(args[0], ".")
			if id == j.id && (!one || index == j.index) {
				if verb == "delete" {
					os.WriteFile(j.file("cancelled"), nil, 0o600)
				}
				syscall.Kill(-j.group(), signal)
			}
		}
		if verb == "delete" { // and kill the jobs that ignore SIGTERM
			for limit := time.Now().Add(500 * time.Millisecond); time.Now().Before(limit); time.Sleep(10 * time.Millisecond) {
				left := false
				for _, j := range jobs {
					state, _ := j.state()
					left = left || state == Running
				}
				if !left {
					return 0
				}
			}
			for _, j := range jobs {
				if _, err := os.Stat(j.file("cancelled")); err == nil {
					syscall.Kill(-j.group(), syscall.SIGKILL)
				}
			}
		}
		return 0
	case "query", "lookup", "list":
		known := false
		for _, j := range toyJobs(dir, "") {
			if len(args) > 0 && !strings.Contains(","+args[0]+",", ","+j.id+",") {
				continue
			}
			known = true
			state, code := j.state()
			if verb == "query" && fault == "forgets" && state.Ended() {
				continue
			}
			fmt.Println(j.id, j.index, state, code, j.name)
		}
		if !known && verb == "lookup" {
			fmt.Fprintln(os.Stderr, "toy: no such job")
			return 1
		}
		return 0
	}
	return 2
}

type toyJob struct{ dir, id, index, name string }

func (j toyJob) file(kind string) string { return filepath.Join(j.dir, j.id+"."+j.index+"."+kind) }

func (j toyJob) number(kind string) int {
	text, err := os.ReadFile(j.file(kind))
	n, convErr := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || convErr != nil {
		return -1
	}
	return n
}

func (j toyJob) group() int {
	if n := j.number("pid"); n > 0 {
		return n
	}
	return 1 << 22 // no process has this number
}

func (j toyJob) state() (JobState, int) {
	pid, code := j.number("pid"), j.number("exit")
	_, err := os.Stat(j.file("cancelled"))
	switch {
	case pid < 0 && err != nil:
		return Queued, -1
	case pid > 0 && groupLives(pid):
		return Running, -1
	case err == nil:
		return Cancelled, -1
	case code == 0:
		return Completed, 0
	}
	return Failed, code
}

// groupLives reports whether a process group has a process that is not a zombie. Zombies
// stay until their adoptive parent waits for them.
func groupLives(group int) bool {
	if syscall.Kill(-group, 0) != nil {
		return false
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		text, _ := os.ReadFile(name)
		f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(f) > 2 && f[2] == strconv.Itoa(group) && f[0] != "Z" {
			return true
		}
	}
	return len(stats) == 0
}

func toyJobs(dir, id string) []toyJob {
	files, _ := filepath.Glob(filepath.Join(dir, "*.job"))
	var all []toyJob
	for _, f := range files {
		parts := strings.Split(filepath.Base(f), ".")
		name, _ := os.ReadFile(f)
		if id == "" || parts[0] == id {
			all = append(all, toyJob{dir, parts[0], parts[1], string(name)})
		}
	}
	return all
}

func toySubmit(dir string, args []string, fault string) int {
	script := args[len(args)-1]
	text, err := os.ReadFile(script)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	n, name, output := 0, "-", "/dev/null"
	for _, m := range regexp.MustCompile(`(?m)^#TOY (\w+) (.*)$`).FindAllStringSubmatch(string(text), -1) {
		switch m[1] {
		case "array":
			n, _ = strconv.Atoi(m[2])
		case "name":
			name = m[2]
		case "output":
			output = m[2]
		}
	}
	for i, w := range args {
		if w == "name" {
			name = args[i+1]
		}
	}
	id := 1
	for os.Mkdir(filepath.Join(dir, fmt.Sprint(id)), 0o700) != nil {
		id++
	}
	copied := filepath.Join(dir, fmt.Sprint(id), "script")
	os.WriteFile(copied, text, 0o700)
	first, last := 1, n
	if n == 0 {
		first, last = -1, -1
	}
	for i := first; i <= last; i++ {
		j := toyJob{dir, fmt.Sprint(id), fmt.Sprint(i), name}
		os.WriteFile(j.file("new"), []byte(name), 0o600)
		os.Rename(j.file("new"), j.file("job")) // so that no query sees it without its name
		if fault == "pend" {
			continue
		}
		self, _ := os.Executable()
		cmd := exec.Command(self, "toy", "run", j.id, j.index, copied, output)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		os.WriteFile(j.file("pid"), []byte(fmt.Sprint(cmd.Process.Pid)), 0o600)
	}
	switch fault {
	case "noid":
		fmt.Println("accepted")
		return 0
	case "timeout":
		fmt.Fprintln(os.Stderr, "toy: cannot reach the server any more")
		return 1
	case "banner":
		fmt.Println("Welcome to node 4711, 12 users")
	}
	fmt.Printf("accepted job %d\n", id)
	return 0
}

// toyRun is the process that runs one element.
func toyRun(dir string, args []string) int {
	j := toyJob{dir, args[0], args[1], ""}
	for j.number("pid") < 0 {
		time.Sleep(time.Millisecond)
	}
	out, err := os.OpenFile(args[3], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return 1
	}
	cmd := exec.Command("/bin/sh", args[2])
	cmd.Env = append(os.Environ(), "TOY_INDEX="+j.index)
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if code = exit.ExitCode(); code < 0 {
			code = 128 + int(exit.Sys().(syscall.WaitStatus).Signal())
		}
	}
	os.WriteFile(j.file("exit.new"), []byte(fmt.Sprint(code)), 0o600)
	os.Rename(j.file("exit.new"), j.file("exit"))
	return 0
}

// toyDir creates the toy's folder for a test.
func toyDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TOY_DIR", dir)
	t.Cleanup(func() {
		for _, j := range toyJobs(dir, "") {
			syscall.Kill(-j.group(), syscall.SIGKILL)
		}
	})
	return dir
}

func setFault(t *testing.T, dir, fault string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "fault.new"), []byte(fault), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "fault.new"), filepath.Join(dir, "fault")); err != nil {
		t.Fatal(err)
	}
}

// calls returns how many commands with a verb were run.
func calls(t *testing.T, dir, verb string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	return len(regexp.MustCompile(`(?m)^`+verb+`\b`).FindAll(text, -1))
}

func request(t *testing.T, n int, options string, command ...string) sdk.StartRequest {
	t.Helper()
	r := sdk.StartRequest{
		Kind: sdk.Engine, ID: "set", N: &n, ProfileDir: t.TempDir(), ClusterID: "c", LogDir: t.TempDir(), WorkDir: t.TempDir(),
		Command: command, Options: []byte(options),
	}
	if n == 0 {
		r.Kind, r.N = sdk.Controller, nil
	}
	return r
}
