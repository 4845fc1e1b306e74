// Command ipcore starts and manages clusters of IPython engines: a controller,
// engines on this machine or on any system that has a launcher, and the commands to
// inspect, use and stop them.
package main

import (
	"context"
	"os"

	"github.com/ipcore/ipcore/cmd/ipcore/internal/cli"
)

// commands is the table of commands in the order of the help text. Each is in the
// file of its name.
var commands = []func(*cli.App) *cli.Command{
	newStart,
	newEngines,
	newStop,
	newList,
	newStatus,
	newWait,
	newExec,
	newLogs,
	newController,
	newEngine,
	newLaunchers,
	newScript,
	newGC,
	newCompletion,
	newVersion,
	newReference,
}

func main() {
	s := cli.SystemStreams()
	args := arguments(s, os.Args)
	os.Exit(cli.NewApp(s, commands...).Run(context.Background(), args))
}
