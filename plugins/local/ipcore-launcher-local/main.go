// Command ipcore-launcher-local starts controllers and engines as processes of
// this machine. It is started by ipcore.
package main

import (
	"github.com/ipcore/ipcore/plugins/local"
	"github.com/ipcore/ipcore/sdk"
)

func main() { sdk.Serve(local.Info(), local.New) }
