// Command ipcore-launcher-batch starts controllers and engines as jobs of any
// batch system that its options describe. It is started by ipcore.
package main

import "github.com/ipcore/ipcore/plugins/batch"

func main() { batch.Main() }
