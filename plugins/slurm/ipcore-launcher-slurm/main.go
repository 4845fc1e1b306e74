// Command ipcore-launcher-slurm starts controllers and engines as jobs of Slurm.
// It is started by ipcore.
package main

import "github.com/ipcore/ipcore/plugins/slurm"

func main() { slurm.Main() }
