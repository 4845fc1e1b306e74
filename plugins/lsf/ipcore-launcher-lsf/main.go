// Command ipcore-launcher-lsf starts controllers and engines as jobs of LSF.
// It is started by ipcore.
package main

import "github.com/ipcore/ipcore/plugins/lsf"

func main() { lsf.Main() }
