// Command ipcore-launcher-winhpc starts controllers and engines as jobs of Windows HPC.
// It is started by ipcore.
package main

import "github.com/ipcore/ipcore/plugins/winhpc"

func main() { winhpc.Main() }
