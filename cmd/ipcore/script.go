package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ipcore/ipcore/cmd/ipcore/internal/cli"
	"github.com/ipcore/ipcore/core/launch/cluster"
	"github.com/ipcore/ipcore/sdk"
)

type scriptOptions struct {
	startOptions
	check  bool
	asJSON bool
}

func newScript(a *cli.App) *cli.Command {
	o := &scriptOptions{}
	c := cli.NewCommand(&cobra.Command{
		Use:   "script [controller | engines] [options] [-- controller arguments]",
		Short: "print what start would submit, and start nothing",
		Long: `Print what "ipcore start" with the same options would run or submit, and change nothing.
With the argument "controller" or "engines" it prints the file of that part alone, byte for
byte, or its command if there is no file. With --check it asks the system whether it would
accept the job, if the launcher can ask that.`,
		Example: `ipcore script -n 64 --engines=slurm --slurm.queue=debug
			ipcore script engines -n 64 --engines=slurm > engines.sbatch
			ipcore script engines -n 64 --engines=slurm --check`,
	})
	o.setup(a, c)
	c.ValidArgsFunction = cli.FirstArgument("controller", "engines")
	c.Hide("daemonize", "timeout", "wait", "clean-logs")
	c.Flags().BoolVar(&o.check, "check", false, "ask the system whether it would accept the job")
	c.Flags().BoolVar(&o.asJSON, "json", false, "print a JSON list")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if err := o.readConfig(a, c); err != nil {
			return err
		}
		return o.run(cmd.Context(), a, c, args)
	}
	return c
}

func (o *scriptOptions) run(ctx context.Context, a *cli.App, c *cli.Command, args []string) error {
	kinds := []sdk.Kind{sdk.Controller, sdk.Engine}
	alone := false
	if c.ArgsLenAtDash() != 0 && len(args) > 0 {
		switch args[0] {
		case "controller":
			kinds = kinds[:1]
		case "engines":
			kinds = kinds[1:]
		default:
			return cli.UsageError("script: unexpected argument "+args[0], "use: ipcore script, ipcore script controller, or ipcore script engines")
		}
		alone, args = true, args[1:]
	}
	co, err := o.clusterOptions(args)
	if err != nil {
		return err
	}
	co.Settings = c.Settings
	if o.Level == "" { // the level of this command, not of the processes that it would start
		o.Level = "warn"
	}
	if co.Log, err = o.Logger(a.Streams, "ipcore"); err != nil {
		return err
	}
	co.Progress = func(p cluster.Progress) { a.Errf("%s\n", p.Note) }
	cl, err := cluster.New(co)
	if err != nil {
		return err
	}
	defer cl.Close()
	scripts, err := cl.Scripts(ctx, o.check, kinds...)
	if err != nil {
		if errors.Is(err, sdk.ErrUnsupported) && o.check && !alone {
			err = cli.WithHint(err, "ask for one part: ipcore script engines --check")
		}
		return err
	}
	switch {
	case o.asJSON:
		return a.WriteJSON(scripts)
	case alone && o.check:
		a.Outf("%s", withNewline(scripts[0].Answer))
	case alone && scripts[0].Text != "":
		a.Outf("%s", scripts[0].Text)
	case alone:
		a.Outf("%s", withNewline(scripts[0].Command))
	default:
		for _, s := range scripts {
			a.Outf("# %s (%s)\n%s", kindWord(s.Kind), s.Launcher, withNewline(s.Command))
			if s.Text != "" {
				a.Outf("# its file\n%s", withNewline(s.Text))
			}
			if s.Answer != "" {
				a.Outf("# the system says\n%s", withNewline(s.Answer))
			}
		}
	}
	return nil
}

func kindWord(k sdk.Kind) string {
	if k == sdk.Engine {
		return "engines"
	}
	return string(k)
}

// withNewline returns a text with a newline at its end, unless it is empty.
func withNewline(text string) string {
	if text == "" || strings.HasSuffix(text, "\n") {
		return text
	}
	return text + "\n"
}
