// Command ipcore-launchers is all launchers of this repository in one executable:
// called by the name ipcore-launcher-slurm, through a link or a copy, it is that
// launcher. Archives and packages contain it with a link for each name, since
// twelve separate executables contain the same libraries twelve times. Any of the
// links can be replaced by another executable.
package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ipcore/ipcore/plugins/batch"
	"github.com/ipcore/ipcore/plugins/exec"
	"github.com/ipcore/ipcore/plugins/htcondor"
	"github.com/ipcore/ipcore/plugins/local"
	"github.com/ipcore/ipcore/plugins/lsf"
	"github.com/ipcore/ipcore/plugins/mpi"
	"github.com/ipcore/ipcore/plugins/pbs"
	"github.com/ipcore/ipcore/plugins/sge"
	"github.com/ipcore/ipcore/plugins/slurm"
	"github.com/ipcore/ipcore/plugins/ssh"
	"github.com/ipcore/ipcore/plugins/winhpc"
)

// prefix begins the file name of every launcher.
const prefix = "ipcore-launcher-"

// launchers are the programs, by what follows the prefix. None of them returns.
var launchers = map[string]func(){
	"batch":    batch.Main,
	"exec":     exec.Main,
	"htcondor": htcondor.Main,
	"local":    local.Main,
	"lsf":      lsf.Main,
	"mpi":      mpi.Main,
	"pbs":      pbs.Main,
	"sge":      sge.Main,
	"slurm":    slurm.Main,
	"ssh":      ssh.Main,
	"sshproxy": ssh.ProxyMain,
	"winhpc":   winhpc.Main,
}

func main() {
	if program := called(os.Args); program != nil {
		program()
	}
	names := slices.Sorted(maps.Keys(launchers))
	fmt.Fprintf(os.Stderr, "error: %s is not the name of a launcher\nhint: make a link to it called %sNAME; NAME is one of: %s\n",
		filepath.Base(os.Args[0]), prefix, strings.Join(names, ", "))
	os.Exit(2)
}

// called returns the program whose name the process was started by, nil if it was
// none of them.
func called(argv []string) func() {
	if len(argv) == 0 {
		return nil
	}
	file := filepath.Base(argv[0])
	if base, ext := strings.TrimSuffix(file, filepath.Ext(file)), filepath.Ext(file); strings.EqualFold(ext, ".exe") {
		file = strings.ToLower(base)
	}
	name, ok := strings.CutPrefix(file, prefix)
	if !ok {
		return nil
	}
	return launchers[name]
}
