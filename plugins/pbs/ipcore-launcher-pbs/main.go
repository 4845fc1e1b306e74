// Command ipcore-launcher-pbs starts controllers and engines as jobs of PBS. It is
// started by ipcore.
package main

import "github.com/ipcore/ipcore/plugins/pbs"

func main() { pbs.Main() }
