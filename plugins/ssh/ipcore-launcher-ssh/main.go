// Command ipcore-launcher-ssh starts controllers and engines on other machines
// over ssh. It is started by ipcore.
package main

import (
	"github.com/ipcore/ipcore/plugins/ssh"
	"github.com/ipcore/ipcore/sdk"
)

func main() { sdk.Serve(ssh.Info(), ssh.New) }
