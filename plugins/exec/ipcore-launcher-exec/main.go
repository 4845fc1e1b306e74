// Command ipcore-launcher-exec serves a launcher that is a script: ipcore starts
// it with the path of the script, which it runs once for each thing to do. It also
// finds the launchers of Python packages, and makes scripts of them:
//
//	ipcore-launcher-exec entry-points PYTHON          prints them as JSON
//	ipcore-launcher-exec entry-point PYTHON NAME DIR  prints the path of one; exit code 3: there is none
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/ipcore/ipcore/plugins/exec"
	"github.com/ipcore/ipcore/sdk"
)

func main() {
	switch args := os.Args[1:]; {
	case len(args) == 2 && args[0] == "entry-points":
		all, err := exec.EntryPoints(context.Background(), args[1])
		if err == nil {
			err = json.NewEncoder(os.Stdout).Encode(all)
		}
		end(err)
	case len(args) == 4 && args[0] == "entry-point":
		path, err := exec.WriteEntryPoint(context.Background(), args[1], args[2], args[3])
		if err == nil {
			_, err = fmt.Fprintln(os.Stdout, path)
		}
		end(err)
	}
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

// end ends the program with what an error means.
func end(err error) {
	code := 0
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if errors.Is(err, exec.ErrNoEntryPoint) {
		code = 3
	}
	os.Exit(code)
}
