package exec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/ipcore/ipcore/sdk"
)

// Main is the program ipcore-launcher-exec. It does not return.
func Main() {
	switch args := os.Args[1:]; {
	case len(args) == 2 && args[0] == "entry-points":
		all, err := EntryPoints(context.Background(), args[1])
		if err == nil {
			err = json.NewEncoder(os.Stdout).Encode(all)
		}
		exit(err)
	case len(args) == 4 && args[0] == "entry-point":
		path, err := WriteEntryPoint(context.Background(), args[1], args[2], args[3])
		if err == nil {
			_, err = fmt.Fprintln(os.Stdout, path)
		}
		exit(err)
	}
	if len(os.Args) != 2 || os.Args[1] == "describe" {
		fmt.Fprintln(os.Stderr, "ipcore-launcher-exec is not a launcher by itself: ipcore starts it to serve a script, ipcore --engines=./ipcore-launcher-mine")
		os.Exit(1)
	}
	script, err := Open(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	sdk.Serve(script.Info, script.New)
}

// exit ends the program with the exit code for an error.
func exit(err error) {
	code := 0
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if errors.Is(err, ErrNoEntryPoint) {
		code = 3
	}
	os.Exit(code)
}
