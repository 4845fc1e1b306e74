// Command ipcore starts and drives clusters of IPython engines: a controller,
// engines on this machine or on any system that a launcher knows, and the
// commands to look at them, use them and stop them.
package main

import (
	"context"
	"os"
)

func main() {
	a := newApp(systemStreams())
	os.Exit(a.run(context.Background(), a.called(os.Args)))
}
