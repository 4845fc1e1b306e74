package main

import (
	"context"
	"errors"
	"strings"

	"github.com/ipcore/ipcore/core/launch/cluster"
	"github.com/ipcore/ipcore/sdk"
)

type scriptOptions struct {
	startOptions
	check  bool
	asJSON bool
}

func newScript(a *app) *command {
	o := &scriptOptions{}
	c := &command{
		name:  "script",
		args:  "[controller | engines] [options] [-- controller arguments]",
		short: "print what start would submit, and start nothing",
		long: `Print what "ipcore start" with the same options would run or submit, and change nothing.
With the word "controller" or "engines" it is the file of that part alone, byte for byte,
or its command if there is no file. With --check the system is asked whether it would
accept it, where it can be asked.`,
		example: `ipcore script -n 64 --engines=slurm --slurm.queue=debug
			ipcore script engines -n 64 --engines=slurm > engines.sbatch
			ipcore script engines -n 64 --engines=slurm --check`,
		flags: newFlags("script"), traits: startTraits, launchers: true,
	}
	o.startOptions.flags(c.flags)
	hide(c.flags, "daemonize", "timeout", "wait", "clean-logs")
	c.flags.BoolVar(&o.check, "check", false, "ask the system whether it would accept it")
	c.flags.BoolVar(&o.asJSON, "json", false, "print a JSON list")
	o.verbosity.flags(c.flags, "")
	c.all = func(ctx context.Context) error { return allOptions(ctx, a, o.place) }
	c.run = func(ctx context.Context, args []string) error {
		if err := o.configure(a, c); err != nil {
			return err
		}
		return o.run(ctx, a, c, args)
	}
	return c
}

func (o *scriptOptions) run(ctx context.Context, a *app, c *command, args []string) error {
	kinds := []sdk.Kind{sdk.Controller, sdk.Engine}
	alone := false
	if c.flags.ArgsLenAtDash() != 0 && len(args) > 0 {
		switch args[0] {
		case "controller":
			kinds = kinds[:1]
		case "engines":
			kinds = kinds[1:]
		default:
			return &usageError{text: "script: unexpected argument " + args[0], hint: "use: ipcore script, ipcore script controller, or ipcore script engines"}
		}
		alone, args = true, args[1:]
	}
	co, err := o.clusterOptions(args)
	if err != nil {
		return err
	}
	co.Settings = c.settings
	if o.level == "" { // of this command, not of what it would start
		o.level = "warn"
	}
	if co.Log, err = o.logger(a.streams, "ipcore"); err != nil {
		return err
	}
	co.Progress = func(p cluster.Progress) { a.errf("%s\n", p.Note) }
	cl, err := cluster.New(co)
	if err != nil {
		return err
	}
	defer cl.Close()
	scripts, err := cl.Scripts(ctx, o.check, kinds...)
	if err != nil {
		if errors.Is(err, sdk.ErrUnsupported) && o.check && !alone {
			err = &hintedError{err: err, hint: "ask for one part: ipcore script engines --check"}
		}
		return err
	}
	switch {
	case o.asJSON:
		return writeJSON(a.Out, scripts)
	case alone && o.check:
		a.outf("%s", withNewline(scripts[0].Answer))
	case alone && scripts[0].Text != "":
		a.outf("%s", scripts[0].Text)
	case alone:
		a.outf("%s", withNewline(scripts[0].Command))
	default:
		for _, s := range scripts {
			a.outf("# %s (%s)\n%s", kindWord(s.Kind), s.Launcher, withNewline(s.Command))
			if s.Text != "" {
				a.outf("# its file\n%s", withNewline(s.Text))
			}
			if s.Answer != "" {
				a.outf("# the system says\n%s", withNewline(s.Answer))
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

// withNewline ends a text that is not empty with one newline.
func withNewline(text string) string {
	if text == "" || strings.HasSuffix(text, "\n") {
		return text
	}
	return text + "\n"
}
