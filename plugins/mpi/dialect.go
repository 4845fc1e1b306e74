package mpi

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

// dialect describes the peculiarities of one MPI's starter.
type dialect struct {
	name  string   // as the option mpi has it
	title string   // for people
	signs []string // one of them is part of what --version prints

	// args follow "-n N".
	args []string
	// passEnv is put before the name of each variable that has to reach ranks on
	// other machines; "" when the starter passes everything.
	passEnv string

	// Variables of a rank: its number, how many ranks there are, and how many of
	// them run on its machine.
	rank, size, localSize string

	// forwards are the signals that the starter passes on to ranks, wherever they run.
	forwards []string
	// interruptTwice is set if the starter leaves ranks behind when it is killed, and
	// kills them when it is interrupted twice.
	interruptTwice bool
}

// dialects are searched in order: Intel's starter is derived from MPICH's.
var dialects = []*dialect{{
	name: "openmpi", title: "Open MPI", signs: []string{"Open MPI", "OpenRTE", "PRRTE"},
	passEnv: "-x",
	rank:    "OMPI_COMM_WORLD_RANK", size: "OMPI_COMM_WORLD_SIZE", localSize: "OMPI_COMM_WORLD_LOCAL_SIZE",
	forwards: []string{"SIGUSR1", "SIGUSR2", "SIGTSTP", "SIGCONT", "SIGTERM", "SIGKILL"},
}, {
	name: "intel", title: "Intel MPI", signs: []string{"Intel(R) MPI"},
	rank: "PMI_RANK", size: "PMI_SIZE", localSize: "MPI_LOCALNRANKS",
	forwards: []string{"SIGUSR1", "SIGUSR2", "SIGTERM", "SIGKILL"},
}, {
	name: "mpich", title: "MPICH", signs: []string{"HYDRA"},
	rank: "PMI_RANK", size: "PMI_SIZE", localSize: "MPI_LOCALNRANKS",
	forwards: []string{"SIGUSR1", "SIGUSR2", "SIGTERM", "SIGKILL"},
}, {
	name: "srun", title: "Slurm", signs: []string{"slurm "},
	args: []string{"--export=ALL", "--disable-status"}, // the second makes it pass on SIGINT
	rank: "SLURM_PROCID", size: "SLURM_NTASKS",
	forwards:       []string{"SIGINT", "SIGUSR1", "SIGUSR2", "SIGTSTP", "SIGCONT", "SIGTERM", "SIGHUP", "SIGQUIT"},
	interruptTwice: true,
}, other}

// other is a starter of which only the option -n is known.
var other = &dialect{name: "other", title: "the MPI starter", forwards: []string{"SIGTERM", "SIGKILL"}}

// versionLimit bounds asking a starter for its version.
var versionLimit = 20 * time.Second

// namedDialect returns the dialect with a name, or nil if there is none.
func namedDialect(name string) *dialect {
	for _, d := range dialects {
		if d.name == name {
			return d
		}
	}
	return nil
}

// find returns the dialect of the options' starter, and what the starter printed for
// --version. It writes the starter's absolute path into the options.
func (o *options) find(ctx context.Context) (*dialect, string, error) {
	path, err := exec.LookPath(o.Starter[0])
	if err != nil {
		return nil, "", fmt.Errorf("%w: mpi_cmd: %s was not found; load the module of your MPI, or give its path with --MPILauncher.mpi_cmd", sdk.ErrBadOption, o.Starter[0])
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, "", fmt.Errorf("%w: mpi_cmd: %w", sdk.ErrBadOption, err)
	}
	o.Starter = append([]string{path}, o.Starter[1:]...)
	if o.MPI != "" && o.MPI != "auto" {
		if d := namedDialect(o.MPI); d != nil {
			return d, "", nil
		}
		return nil, "", fmt.Errorf("%w: mpi is %q, want auto, openmpi, mpich, intel, srun or other", sdk.ErrBadOption, o.MPI)
	}
	text, err := version(ctx, path)
	if err != nil {
		return nil, "", err
	}
	for _, d := range dialects {
		if slices.ContainsFunc(d.signs, func(sign string) bool { return strings.Contains(text, sign) }) {
			return d, text, nil
		}
	}
	return other, text, nil
}

// version returns the output of a starter's --version. A starter without that option
// may print anything.
func version(ctx context.Context, path string) (string, error) {
	limited, cancel := context.WithTimeout(ctx, versionLimit)
	defer cancel()
	cmd := exec.CommandContext(limited, path, "--version")
	cmd.Env = process.Environ(nil)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) || limited.Err() != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", fmt.Errorf("%w: mpi_cmd: %s --version: %w; say which MPI it is with --MPILauncher.mpi", sdk.ErrBadOption, path, errors.Join(limited.Err(), err))
	}
	return string(out), nil
}

// command returns the command that starts n ranks of a program with the variables of env.
func (d *dialect) command(o options, n int, env map[string]string, program []string) []string {
	c := append(slices.Clone(o.Starter), "-n", strconv.Itoa(n))
	c = append(c, d.args...)
	if d.passEnv != "" {
		for _, name := range slices.Sorted(maps.Keys(env)) {
			c = append(c, d.passEnv, name) // the value is in the starter's environment
		}
	}
	c = append(c, o.StarterArgs...)
	return append(c, program...)
}

// program returns the command that each rank runs. ipcore's and IPython Parallel's
// engines get an option that makes them request their rank as id.
func (o *options) program(kind sdk.Kind, command []string) []string {
	if len(o.Program) > 0 {
		command = o.Program
	}
	command = slices.Clone(command)
	if kind == sdk.Engine && isEngine(command) && !slices.Contains(command, "--mpi") {
		command = append(command, "--mpi")
	}
	return append(command, o.ProgramArgs...)
}

// isEngine reports whether a command is known to understand --mpi.
func isEngine(command []string) bool {
	for i, word := range command {
		switch base := filepath.Base(word); {
		case base == "ipengine",
			word == "ipyparallel.engine" && i > 0 && command[i-1] == "-m",
			word == "engine" && i == 1 && strings.HasPrefix(filepath.Base(command[0]), "ipcore"):
			return true
		}
	}
	return false
}

// shellLine quotes a command for a shell.
func shellLine(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = sdk.ShellQuote(w)
	}
	return strings.Join(quoted, " ")
}
