package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/cmd/ipcore/internal/cli"
	"github.com/ipcore/ipcore/core/launch/plugin"
	"github.com/ipcore/ipcore/core/launch/registry"
	"github.com/ipcore/ipcore/core/launch/settings"
	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/conformance"
)

// conformanceOptions are those of "launchers test".
type conformanceOptions struct {
	kinds    []string
	checks   []string
	options  []string
	dir      string
	patience cli.Seconds
	together int
}

func (o *conformanceOptions) addFlags(c *cli.Command) {
	fs := c.Flags()
	fs.StringSliceVar(&o.kinds, "kind", nil, "test: only this `KIND` of workload: controller, engine, single-engine (default: all kinds that it starts)")
	fs.StringSliceVar(&o.checks, "check", nil, "test: only checks of this `NAME` or group; * matches anything")
	fs.StringArrayVar(&o.options, "option", nil, "test: an option of the launcher, `NAME=VALUE`, for every kind of workload")
	fs.StringVar(&o.dir, "dir", "", "test: a `DIR` that the workloads' machines share (default: the temporary folder)")
	o.patience = cli.Seconds(conformance.DefaultPatience)
	fs.Var(&o.patience, "patience", "test: how long one step may take")
	fs.IntVar(&o.together, "together", 4, "test: run `N` checks at the same time")
}

// test runs the conformance checks on a launcher. When the report shows the failures,
// its error has no message.
func (o *launchersOptions) test(ctx context.Context, a *cli.App, name string, given []settings.Setting) error {
	search, err := o.search()
	if err != nil {
		return err
	}
	f, err := o.one(ctx, name, search)
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		// A launcher that does not describe itself fails the first check, and no other can run.
		return o.report(a, name, func(report func(conformance.Result)) {
			report(conformance.Result{Check: "describe", Want: conformance.Checks()[0].Want, Outcome: conformance.Fail, Seen: strings.ReplaceAll(err.Error(), "\n", " | ")})
		})
	}
	if err != nil {
		return err
	}
	cases, err := o.checks.cases(f, given)
	if err != nil {
		return err
	}
	return o.report(a, f.Name+" "+f.Info.Version, func(report func(conformance.Result)) {
		conformance.RunAll(ctx, cases, o.checks.together, report)
	})
}

// report prints results as they come, and their number at the end. name is the
// launcher's, with its version.
func (o *launchersOptions) report(a *cli.App, name string, run func(func(conformance.Result))) error {
	var results []conformance.Result
	count := map[conformance.Outcome]int{}
	began := time.Now()
	run(func(r conformance.Result) {
		results = append(results, r)
		count[r.Outcome]++
		if !o.asJSON {
			a.Outf("%s", reportLine(r))
		}
	})
	if o.asJSON {
		if err := a.WriteJSON(results); err != nil {
			return err
		}
	} else {
		a.Outf("%s: %d passed, %d failed, %d not applicable, in %.1f s\n", name,
			count[conformance.Pass], count[conformance.Fail], count[conformance.NotApplicable], time.Since(began).Seconds())
	}
	if count[conformance.Fail] > 0 {
		return cli.WithExitCode(cli.ExitFailure, nil)
	}
	return nil
}

// reportLine returns a check's line in the report: the requirement, and for a failure
// what was seen.
func reportLine(r conformance.Result) string {
	line := fmt.Sprintf("%-4s  %-22s %-13s %s", r.Outcome, r.Check, r.Kind, r.Want)
	switch r.Outcome {
	case conformance.Fail:
		line += "; SEEN: " + r.Seen
	case conformance.NotApplicable:
		line += " (" + r.Seen + ")"
	case conformance.Pass:
	}
	return line + "\n"
}

// cases returns the checks to run.
func (o *conformanceOptions) cases(f *registry.Executable, given []settings.Setting) ([]conformance.Case, error) {
	options, err := o.launcherOptions(f, given)
	if err != nil {
		return nil, err
	}
	c := conformance.Config{
		Info: f.Info, Describe: f.Path, Command: f.Command(), Dir: o.dir, Patience: time.Duration(o.patience),
		Open: func(ctx context.Context) (conformance.Plugin, error) {
			p, err := plugin.Open(ctx, f, plugin.OpenOptions{Log: hclog.NewNullLogger(), StartTimeout: time.Duration(o.patience)})
			if err != nil {
				return nil, err
			}
			return p, nil
		},
		Prepare: func(r *sdk.StartRequest) { r.Options = options[r.Kind] },
	}
	for _, k := range o.kinds {
		c.Kinds = append(c.Kinds, sdk.Kind(k))
	}
	all, err := conformance.Cases(c)
	if err != nil {
		return nil, cli.UsageError("launchers test: "+err.Error(), "the launcher starts: "+kindList(f.Info.Kinds))
	}
	var chosen []conformance.Case
	for _, one := range all {
		if o.wants(one.Check) {
			chosen = append(chosen, one)
		}
	}
	if len(chosen) == 0 {
		return nil, cli.UsageError(fmt.Sprintf("--check: no check is called %s", strings.Join(o.checks, " or ")), "without --check the report names them all")
	}
	return chosen, nil
}

func (o *conformanceOptions) wants(c conformance.Check) bool {
	for _, pattern := range o.checks {
		if pattern == c.Group {
			return true
		}
		if ok, err := path.Match(pattern, c.Name); err == nil && ok {
			return true
		}
	}
	return len(o.checks) == 0
}

// launcherOptions returns the options of each of the launcher's kinds: those of --option
// for all kinds, those of a class for the kinds that have the class.
func (o *conformanceOptions) launcherOptions(f *registry.Executable, given []settings.Setting) (map[sdk.Kind]json.RawMessage, error) {
	var all []settings.Setting
	for _, option := range o.options {
		name, value, ok := strings.Cut(option, "=")
		if !ok || name == "" {
			return nil, cli.UsageError(fmt.Sprintf("--option: %q is not of the form NAME=VALUE", option), "")
		}
		s := settings.Setting{Class: f.Info.Name, Trait: name, Words: []string{value}}
		if json.Valid([]byte(value)) && strings.ContainsAny(value[:1], `"[{`) { // any other value is read by the option's type
			s.Words, s.Value = nil, json.RawMessage(value)
		}
		all = append(all, s)
	}
	uses := make([]*settings.Selection, len(f.Info.Kinds))
	for i, k := range f.Info.Kinds {
		uses[i] = &settings.Selection{Executable: f, Kind: k}
	}
	if _, err := settings.Configure(uses, append(all, given...)); err != nil {
		return nil, err
	}
	options := make(map[sdk.Kind]json.RawMessage)
	for _, u := range uses {
		for name := range u.Common {
			return nil, cli.UsageError(fmt.Sprintf("launchers test: %s is an option of ipcore, not of the launcher, and the checks run workloads of their own", name), "")
		}
		options[u.Kind] = u.Options
	}
	return options, nil
}
