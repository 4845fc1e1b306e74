//go:build unix

package mpi

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/plugintest"
	"github.com/ipcore/ipcore/sdk/process"
)

// fake is a starter for machines without MPI.
func fake(t *testing.T) string {
	t.Helper()
	if err := exec.Command("setsid", "env", "--default-signal=INT", "true").Run(); err != nil {
		t.Skip("setsid or env --default-signal is not there (Debian: apt-get install util-linux coreutils)")
	}
	path, err := filepath.Abs("testdata/mpiexec")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConformance(t *testing.T) {
	starter := fake(t)
	plugintest.Run(t, plugintest.Config{Info: Info(), New: New, Prepare: func(_ *testing.T, r *sdk.StartRequest) {
		if r.Options == nil {
			r.Options, _ = json.Marshal(map[string]any{"mpi_cmd": []string{starter}, "stop_seconds_until_kill": 0.5})
		}
	}})
}

// What is run is what upstream runs, with what each MPI needs besides.
func TestCommand(t *testing.T) {
	env := map[string]string{"B": "secret", "A": "1"}
	for name, want := range map[string]string{
		"openmpi": "mpiexec -n 4 -x A -x B --map-by core ipcore engine --mpi",
		"mpich":   "mpiexec -n 4 --map-by core ipcore engine --mpi",
		"intel":   "mpiexec -n 4 --map-by core ipcore engine --mpi",
		"srun":    "mpiexec -n 4 --export=ALL --disable-status --map-by core ipcore engine --mpi",
		"other":   "mpiexec -n 4 --map-by core ipcore engine --mpi",
	} {
		o := options{Starter: []string{"mpiexec"}, StarterArgs: []string{"--map-by", "core"}}
		got := strings.Join(namedDialect(name).command(o, 4, env, o.program(sdk.Engine, []string{"ipcore", "engine"})), " ")
		if got != want {
			t.Errorf("%s: %s\nwant %s", name, got, want)
		}
	}
}

func TestProgram(t *testing.T) {
	for _, c := range []struct {
		kind    sdk.Kind
		command string
		o       options
		want    string
	}{
		{sdk.Engine, "/x/bin/ipcore engine --log-level=info", options{}, "/x/bin/ipcore engine --log-level=info --mpi"},
		{sdk.Engine, "python3 -m ipyparallel.engine", options{}, "python3 -m ipyparallel.engine --mpi"},
		{sdk.Engine, "/usr/bin/ipengine --mpi", options{}, "/usr/bin/ipengine --mpi"},
		{sdk.Engine, "sh -c engine", options{}, "sh -c engine"},
		{sdk.Controller, "ipcore controller", options{}, "ipcore controller"},
		{sdk.Engine, "ipcore engine", options{Program: []string{"ipengine"}, ProgramArgs: []string{"--debug"}}, "ipengine --mpi --debug"},
	} {
		if got := strings.Join(c.o.program(c.kind, strings.Fields(c.command)), " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.command, got, c.want)
		}
	}
}

func TestDialectOfVersion(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"openmpi": "mpiexec (OpenRTE) 4.1.4\n\nReport bugs to http://www.open-mpi.org/community/help/",
		"mpich":   "HYDRA build details:\n    Version:                                 4.0.2",
		"intel":   "Intel(R) MPI Library for Linux* OS, Version 2021.6 Build 20220227 (id: 28877f3f32)\nCopyright",
		"srun":    "slurm 22.05.8",
		"other":   "usage: mpiexec [-n N] program",
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\ncat <<'.'\n"+text+"\n.\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		o := options{Starter: []string{path}}
		if d, said, err := o.find(t.Context()); err != nil || d.name != name || !strings.Contains(said, text[:8]) {
			t.Errorf("%s: %v, %v", name, d, err)
		}
	}
	for _, o := range []options{
		{Starter: []string{"no-such-mpiexec"}},
		{Starter: []string{"sh"}, MPI: "lam"},
	} {
		if _, _, err := o.find(t.Context()); !errors.Is(err, sdk.ErrBadOption) || !strings.Contains(err.Error(), "mpi") {
			t.Errorf("%+v: %v", o, err)
		}
	}
	// One that never answers is named.
	path := filepath.Join(dir, "deaf")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexec sleep 600\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	defer func(d time.Duration) { versionLimit = d }(versionLimit)
	versionLimit = 50 * time.Millisecond
	o := options{Starter: []string{path}}
	if _, _, err := o.find(t.Context()); !errors.Is(err, sdk.ErrBadOption) || !strings.Contains(err.Error(), "deaf --version") {
		t.Errorf("a starter that never answers: %v", err)
	}
}

// The words of real starters, as they print them.
func TestCause(t *testing.T) {
	for _, c := range []struct{ dialect, output, reason, signal string }{
		{"openmpi", "mpiexec.openmpi noticed that process rank 1 with PID 0 on node vm exited on signal 9 (Killed).", "rank 1 on vm was ended by SIGKILL; Open MPI then ended the others", "SIGKILL"},
		{"openmpi", "The first process to do so was:\n\n  Process name: [[11881,1],1]\n  Exit code:    3\n", "rank 1 exited with code 3; Open MPI then ended the others", ""},
		{"openmpi", "  Process name: [prterun-vm-4711@1,2]\n  Exit code:    3\n", "rank 2 exited with code 3; Open MPI then ended the others", ""},
		{"mpich", "=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES\n=   PID 17252 RUNNING AT vm\n=   EXIT CODE: 9\n=   CLEANING UP REMAINING PROCESSES\n===\nYOUR APPLICATION TERMINATED WITH THE EXIT STRING: Killed (signal 9)\n", "a rank, pid 17252, on vm was ended by SIGKILL; MPICH then ended the others", "SIGKILL"},
		{"intel", "=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES\n=   RANK 1 PID 4711 RUNNING AT n1\n=   KILLED BY SIGNAL: 11 (Segmentation fault)\n", "rank 1, pid 4711, on n1 was ended by SIGSEGV; Intel MPI then ended the others", "SIGSEGV"},
		{"srun", "srun: error: tb1: task 1: Exited with exit code 3\n", "rank 1 on tb1 exited with code 3; Slurm then ended the others", ""},
		{"srun", "srun: error: tb2: task 0: Killed\n", "rank 0 on tb2 ended: Killed; Slurm then ended the others", ""},
		{"openmpi", "There are not enough slots available in the system", hints[1].hint, ""},
		{"openmpi", "has detected an attempt to run as root.", hints[0].hint, ""},
		{"other", "nothing known", "", ""},
	} {
		e := sdk.Exit{Code: 1, Output: c.output}
		namedDialect(c.dialect).explain(&e)
		if e.Reason != c.reason || e.Signal != c.signal || (c.signal != "") != (e.Code == -1) {
			t.Errorf("%s: %+v", c.output, e)
		}
	}
	fine := sdk.Exit{Output: "mpiexec noticed that process rank 1 with PID 0 on node vm exited on signal 9"}
	if namedDialect("openmpi").explain(&fine); fine.Reason != "" {
		t.Errorf("a good end has the reason %q", fine.Reason)
	}
}

// start makes a launcher as the sdk does, and starts n shell scripts.
func start(t *testing.T, n int, script string) *Launcher {
	t.Helper()
	l := New(sdk.Engine, sdk.Host{Log: hclog.NewNullLogger()}).(*Launcher)
	options, err := json.Marshal(map[string]any{"mpi_cmd": []string{fake(t)}})
	if err != nil {
		t.Fatal(err)
	}
	err = l.Start(t.Context(), sdk.StartRequest{
		ID: "set", N: &n, ProfileDir: t.TempDir(), ClusterID: "c", LogDir: t.TempDir(),
		Command: []string{"/bin/sh", "-c", script}, Options: options,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Stop(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return l
}

// running waits until n ranks run.
func running(t *testing.T, l *Launcher, n int) []process.EnvMatch {
	t.Helper()
	for limit := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		_, ranks, err := l.here()
		if errors.Is(err, sdk.ErrUnsupported) {
			t.Skip(err)
		}
		if err == nil && len(ranks) == n {
			return ranks
		}
		if time.Now().After(limit) {
			t.Fatalf("%d ranks, want %d (%v)", len(ranks), n, err)
		}
	}
}

// The state has upstream's keys, and says how many ranks run.
func TestState(t *testing.T) {
	l := start(t, 3, "sleep 300")
	running(t, l, 3)
	raw, err := l.ToDict(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var form map[string]any
	if err := json.Unmarshal(raw, &form); err != nil {
		t.Fatal(err)
	}
	if form["n"] != 3.0 || form["state"] != "running" || form["cluster_id"] != "c" || form["version"] != 1.0 || form["create_time"] == nil ||
		form["mpi"] != "mpich" || !strings.HasSuffix(form["output_file"].(string), "/ipengine-c-set.log") {
		t.Errorf("state %s", raw)
	}
	if st, err := l.Status(t.Context()); err != nil || st.State != sdk.StatusRunning || *st.Running != 3 || *st.Total != 3 {
		t.Errorf("status %+v, %v", st, err)
	}
	newer := New(sdk.Engine, sdk.Host{}).(*Launcher)
	if err := newer.FromDict(t.Context(), sdk.State(`{"version": 99}`)); !errors.Is(err, sdk.ErrBadOption) {
		t.Errorf("a newer state: %v", err)
	}
}

// Ranks whose starter was killed don't live on, whether somebody watched or not.
func TestStarterKilled(t *testing.T) {
	for name, end := range map[string]func(*Launcher, sdk.State) error{
		"watched": func(l *Launcher, _ sdk.State) error {
			exit, err := l.Wait(t.Context())
			if exit.Signal != "SIGKILL" {
				t.Errorf("exit %+v", exit)
			}
			return err
		},
		"restored": func(_ *Launcher, st sdk.State) error {
			err := New(sdk.Engine, sdk.Host{}).FromDict(t.Context(), st)
			if errors.Is(err, sdk.ErrNotRunning) {
				return nil
			}
			return errors.Join(errors.New("it was restored"), err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := start(t, 2, "trap '' TERM; sleep 300; sleep 300")
			running(t, l, 2)
			st, err := l.ToDict(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := l.p.Signal("KILL"); err != nil {
				t.Fatal(err)
			}
			<-l.p.Done()
			if err := end(l, st); err != nil {
				t.Error(err)
			}
			if all, _, err := l.here(); err != nil || len(all) > 0 {
				t.Errorf("left: %+v (%v)", all, err)
			}
		})
	}
}

func TestScript(t *testing.T) {
	l := New(sdk.Engine, sdk.Host{}).(*Launcher)
	options, _ := json.Marshal(map[string]any{"mpi_cmd": []string{fake(t)}, "mpi_args": []string{"-hosts", "a b"}})
	n := 2
	s, err := l.Script(t.Context(), sdk.StartRequest{Kind: sdk.Engine, N: &n, Command: []string{"ipcore", "engine"}, Env: map[string]string{"K": "secret"}, Options: options}, true)
	if err != nil || !strings.HasSuffix(s.Command, "/testdata/mpiexec -n 2 -hosts 'a b' ipcore engine --mpi") || !strings.Contains(s.Answer, "HYDRA") {
		t.Errorf("%+v, %v", s, err)
	}
	if strings.Contains(s.Command, "secret") {
		t.Error("the environment is shown")
	}
}

func TestOptions(t *testing.T) {
	for _, bad := range []string{`{"mpi_cmd": [""]}`, `{"stop_seconds_until_kill": 0}`, `{"mpi_cmd": "mpiexec"}`, `{"mpi": "lam"}`} {
		l := New(sdk.Engine, sdk.Host{Log: hclog.NewNullLogger()})
		if err := l.Start(t.Context(), sdk.StartRequest{Command: []string{"true"}, Options: []byte(bad), LogDir: t.TempDir()}); !errors.Is(err, sdk.ErrBadOption) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	for _, k := range []sdk.Kind{sdk.Controller, sdk.Engine} {
		if !slices.Contains(Info().Classes[k], "MPILauncher") {
			t.Errorf("%s is not reached by MPILauncher", k)
		}
	}
}
