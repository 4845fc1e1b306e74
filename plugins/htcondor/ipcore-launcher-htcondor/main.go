// Command ipcore-launcher-htcondor starts controllers and engines as jobs of HTCondor.
// It is started by ipcore.
package main

import "github.com/ipcore/ipcore/plugins/htcondor"

func main() { htcondor.Main() }
