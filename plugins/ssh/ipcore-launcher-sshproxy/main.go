// Command ipcore-launcher-sshproxy has an ipcore on another machine start engines
// there, with that machine's launcher. It is started by ipcore.
package main

import (
	"github.com/ipcore/ipcore/plugins/ssh"
	"github.com/ipcore/ipcore/sdk"
)

func main() { sdk.Serve(ssh.ProxyInfo(), ssh.NewProxy) }
