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
	"github.com/spf13/pflag"

	"github.com/ipcore/ipcore/core/launch/registry"
	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/conformance"
)

// kitOptions are those of "launchers test".
type kitOptions struct {
	kinds    []string
	checks   []string
	options  []string
	dir      string
	patience seconds
	together int
}

func (o *kitOptions) flags(fs *pflag.FlagSet) {
	fs.StringSliceVar(&o.kinds, "kind", nil, "test: only this `KIND` of workload: controller, engine, single-engine (default: all that it starts)")
	fs.StringSliceVar(&o.checks, "check", nil, "test: only checks of this `NAME` or group; * stands for anything")
	fs.StringArrayVar(&o.options, "option", nil, "test: an option of the launcher, `NAME=VALUE`, for every kind of workload")
	fs.StringVar(&o.dir, "dir", "", "test: a `DIR` that the workloads' hosts see too (default: the temporary folder)")
	o.patience = seconds(conformance.DefaultPatience)
	fs.Var(&o.patience, "patience", "test: how long one thing may take")
	fs.IntVar(&o.together, "together", 4, "test: run `N` checks at the same time")
}

// test runs the conformance kit on a launcher. Its error is silent when the
// report has said it.
func (o *launchersOptions) test(ctx context.Context, a *app, name string, settings []registry.Setting) error {
	search, err := o.search()
	if err != nil {
		return err
	}
	f, err := o.one(ctx, name, search)
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		// What does not describe itself fails the first check, and no other can be made.
		return o.report(a, name, func(report func(conformance.Result)) {
			report(conformance.Result{Check: "describe", Want: conformance.Checks()[0].Want, Outcome: conformance.Fail, Seen: strings.ReplaceAll(err.Error(), "\n", " | ")})
		})
	}
	if err != nil {
		return err
	}
	cases, err := o.kit.cases(f, settings)
	if err != nil {
		return err
	}
	return o.report(a, f.Name+" "+f.Info.Version, func(report func(conformance.Result)) {
		conformance.RunAll(ctx, cases, o.kit.together, report)
	})
}

// report prints results as they come, and counts them.
func (o *launchersOptions) report(a *app, name string, run func(func(conformance.Result))) error {
	var results []conformance.Result
	count := map[conformance.Outcome]int{}
	began := time.Now()
	run(func(r conformance.Result) {
		results = append(results, r)
		count[r.Outcome]++
		if !o.asJSON {
			a.outf("%s", reportLine(r))
		}
	})
	if o.asJSON {
		if err := writeJSON(a.Out, results); err != nil {
			return err
		}
	} else {
		a.outf("%s: %d passed, %d failed, %d not applicable, in %.1f s\n", name,
			count[conformance.Pass], count[conformance.Fail], count[conformance.NotApplicable], time.Since(began).Seconds())
	}
	if count[conformance.Fail] > 0 {
		return &exitError{code: exitFailure}
	}
	return nil
}

// reportLine is one check in the report: what was expected, and for a failure
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

// cases answers what to run.
func (o *kitOptions) cases(f *registry.Executable, settings []registry.Setting) ([]conformance.Case, error) {
	options, err := o.launcherOptions(f, settings)
	if err != nil {
		return nil, err
	}
	c := conformance.Config{
		Info: f.Info, Describe: f.Path, Command: f.Command(), Dir: o.dir, Patience: time.Duration(o.patience),
		Open: func(ctx context.Context) (conformance.Plugin, error) {
			p, err := registry.Open(ctx, f, registry.OpenOptions{Log: hclog.NewNullLogger(), StartTimeout: time.Duration(o.patience)})
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
		return nil, &usageError{text: "launchers test: " + err.Error(), hint: "the launcher starts: " + kindList(f.Info.Kinds)}
	}
	var chosen []conformance.Case
	for _, one := range all {
		if o.wants(one.Check) {
			chosen = append(chosen, one)
		}
	}
	if len(chosen) == 0 {
		return nil, &usageError{text: fmt.Sprintf("--check: no check is called %s", strings.Join(o.checks, " or ")), hint: "without --check the report names them all"}
	}
	return chosen, nil
}

func (o *kitOptions) wants(c conformance.Check) bool {
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

// launcherOptions shares the settings out among the launcher's kinds: what --option
// says is every kind's, and a class reaches those that have it.
func (o *kitOptions) launcherOptions(f *registry.Executable, given []registry.Setting) (map[sdk.Kind]json.RawMessage, error) {
	var settings []registry.Setting
	for _, option := range o.options {
		name, value, ok := strings.Cut(option, "=")
		if !ok || name == "" {
			return nil, &usageError{text: fmt.Sprintf("--option: %q is no NAME=VALUE", option)}
		}
		s := registry.Setting{Class: f.Info.Name, Trait: name, Words: []string{value}}
		if json.Valid([]byte(value)) && strings.ContainsAny(value[:1], `"[{`) { // other JSON is for the option's type to read
			s.Words, s.Value = nil, json.RawMessage(value)
		}
		settings = append(settings, s)
	}
	uses := make([]*registry.Selection, len(f.Info.Kinds))
	for i, k := range f.Info.Kinds {
		uses[i] = &registry.Selection{Executable: f, Kind: k}
	}
	if _, err := registry.Configure(uses, append(settings, given...)); err != nil {
		return nil, err
	}
	options := make(map[sdk.Kind]json.RawMessage)
	for _, u := range uses {
		for name := range u.Common {
			return nil, &usageError{text: fmt.Sprintf("launchers test: %s is not the launcher's own option, and the kit runs workloads of its own", name)}
		}
		options[u.Kind] = u.Options
	}
	return options, nil
}
