// Command ipcore-launcher-local starts controllers and engines as processes of
// this machine. It is started by ipcore.
package main

import "github.com/ipcore/ipcore/plugins/local"

func main() { local.Main() }
