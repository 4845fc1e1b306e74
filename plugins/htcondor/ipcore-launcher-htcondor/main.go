// Command ipcore-launcher-htcondor starts controllers and engines as jobs of HTCondor.
// It is started by ipcore.
package main

import (
	"github.com/ipcore/ipcore/plugins/htcondor"
	"github.com/ipcore/ipcore/sdk"
)

func main() { sdk.Serve(htcondor.System.Info(htcondor.Version), htcondor.System.New()) }
