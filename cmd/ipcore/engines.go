package main

import "context"

func newEngines(a *app) *command {
	o := &startOptions{join: true}
	c := &command{
		name:  "engines",
		args:  "[-n N] [options]",
		short: "start more engines for a controller that runs",
		long: `Start N engines that join the controller of a cluster, and wait until they have registered.

The controller is that of the profile and --cluster-id: one of "ipcore start" or "ipcore
controller", or one whose engine connection file (ipcontroller-ID-engine.json) was copied into
the profile's security folder. Where the clients' file is not there, nobody can be asked, and
the command does not wait.

The engines may have another launcher than the cluster's own. They get an id, such as
"engines-1", by which "ipcore list" and "ipcore stop" know them, and the command stays in the
foreground: Ctrl-C stops these engines and nothing else. With --daemonize it returns when they
have registered.`,
		example: `ipcore engines -n 4
			ipcore engines -n 64 --engines=slurm --slurm.queue=debug --daemonize
			ipcore engines -n 4 --profile=cluster --cluster-id=night
			ipcore stop engines-1`,
		flags: newFlags("engines"), traits: startTraits, launchers: true,
	}
	o.flags(c.flags)
	o.verbosity.flags(c.flags, "")
	c.all = func(ctx context.Context) error { return allOptions(ctx, a, o.place) }
	c.run = func(ctx context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		if err := o.configure(a, c); err != nil {
			return err
		}
		return o.run(ctx, a, c, nil)
	}
	return c
}
