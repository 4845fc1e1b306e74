// Command ipcore-launcher-lsf starts controllers and engines as jobs of LSF.
// It is started by ipcore.
package main

import (
	"github.com/ipcore/ipcore/plugins/lsf"
	"github.com/ipcore/ipcore/sdk"
)

func main() { sdk.Serve(lsf.System.Info(lsf.Version), lsf.System.New()) }
