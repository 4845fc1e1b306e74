package main

import (
	"github.com/spf13/cobra"

	"github.com/ipcore/ipcore/cmd/ipcore/internal/cli"
)

func newEngines(a *cli.App) *cli.Command {
	o := &startOptions{join: true}
	c := cli.NewCommand(&cobra.Command{
		Use:   "engines [-n N] [options]",
		Short: "start more engines for a controller that runs",
		Long: `Start N engines that join the controller of a cluster, and wait until they have registered.

The controller is that of the profile and --cluster-id: one of "ipcore start" or "ipcore
controller", or one whose engine connection file (ipcontroller-ID-engine.json) was copied into
the profile's security folder. Without the connection file for clients the command can't ask
the controller, and does not wait.

The engines may use another launcher than the cluster's own. They get an id, such as
"engines-1", by which "ipcore list" and "ipcore stop" know them, and the command stays in the
foreground: Ctrl-C stops these engines and nothing else. With --daemonize it returns when they
have registered.`,
		Example: `ipcore engines -n 4
			ipcore engines -n 64 --engines=slurm --slurm.queue=debug --daemonize
			ipcore engines -n 4 --profile=cluster --cluster-id=night
			ipcore stop engines-1`,
		Args: cli.NoArguments,
	})
	o.setup(a, c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := o.readConfig(a, c); err != nil {
			return err
		}
		return o.run(cmd.Context(), a, c, nil)
	}
	return c
}
