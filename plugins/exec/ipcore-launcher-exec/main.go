// Command ipcore-launcher-exec serves a launcher that is a script: ipcore starts
// it with the path of the script, which it runs once for each thing to do.
package main

import (
	"fmt"
	"os"

	"github.com/ipcore/ipcore/plugins/exec"
	"github.com/ipcore/ipcore/sdk"
)

func main() {
	if len(os.Args) != 2 || os.Args[1] == "describe" {
		fmt.Fprintln(os.Stderr, "ipcore-launcher-exec is no launcher by itself: ipcore starts it to serve a script, ipcore --engines=./ipcore-launcher-mine")
		os.Exit(1)
	}
	script, err := exec.Open(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	sdk.Serve(script.Info, script.New)
}
