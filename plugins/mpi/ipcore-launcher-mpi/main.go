// Command ipcore-launcher-mpi starts controllers and engines with mpiexec. It is
// started by ipcore.
package main

import (
	"github.com/ipcore/ipcore/plugins/mpi"
	"github.com/ipcore/ipcore/sdk"
)

func main() { sdk.Serve(mpi.Info(), mpi.New) }
