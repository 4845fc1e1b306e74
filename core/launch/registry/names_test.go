package registry

import (
	"strings"
	"testing"

	"github.com/ipcore/ipcore/sdk"
)

func TestOldNames(t *testing.T) {
	for old, want := range map[string]string{
		"MPIExec": "mpi", "MPIExecEngineSetLauncher": "mpi", "MPIEngineSetLauncher": "mpi", "WindowsHPC": "winhpc", "WindowsHPCControllerLauncher": "winhpc",
		"SlurmEngineSetLauncher": "slurm", "SSHProxyEngineSetLauncher": "sshproxy", "BatchEngineSetLauncher": "batch",
		"ipyparallel.cluster.launcher.SlurmEngineSetLauncher": "slurm", "ipyparallel.apps.launcher.MPIExecControllerLauncher": "mpi",
		"IPython.parallel.apps.launcher.LocalControllerLauncher": "local", "slurm": "", "mine": "", "Launcher": "", "my.pkg.MyThing": "",
	} {
		if got, _ := currentName(old); got != want {
			t.Errorf("%q stands for %q, want %q", old, got, want)
		}
	}
	for abbreviation, want := range map[string]string{
		"Local": "local", "MPI": "mpi", "SSH": "ssh", "SGE": "sge", "PBS": "pbs", "LSF": "lsf", "HTCondor": "htcondor", "Slurm": "slurm", "WindowsHPC": "winhpc", "Batch": "batch",
	} {
		for suffix, kind := range map[string]sdk.Kind{"EngineSetLauncher": sdk.Engine, "ControllerLauncher": sdk.Controller, "Launcher": ""} {
			for _, module := range []string{"", "ipyparallel.cluster.launcher."} {
				if got, of := currentName(module + abbreviation + suffix); got != want || of != kind {
					t.Errorf("%s%s%s stands for %q of a %q", module, abbreviation, suffix, got, of)
				}
			}
		}
	}
	ctx := testContext(t)
	f, err := Find(ctx, sdk.Engine, "ipyparallel.cluster.launcher.LocalEngineSetLauncher", onlyBin(t))
	if err != nil || f.Name != "local" || f.OldName != "ipyparallel.cluster.launcher.LocalEngineSetLauncher" {
		t.Errorf("%+v, %v", f, err)
	}
	if _, err := Find(ctx, sdk.Engine, "LocalControllerLauncher", onlyBin(t)); err == nil || !strings.Contains(err.Error(), `class of a controller`) {
		t.Errorf("a controller's class for engines: %v", err)
	}
	if f, err := Find(ctx, sdk.Engine, "Local", onlyBin(t)); err != nil || f.OldName != "" {
		t.Errorf("%+v, %v", f, err)
	}
}
