// Command ipcore-launcher-sge starts controllers and engines as jobs of SGE. It is
// started by ipcore.
package main

import "github.com/ipcore/ipcore/plugins/sge"

func main() { sge.Main() }
