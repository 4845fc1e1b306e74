package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ipcore/ipcore/core/launch/settings"

	"github.com/ipcore/ipcore/core/launch/registry"
	"github.com/ipcore/ipcore/sdk"
)

type launchersOptions struct {
	place
	asJSON      bool
	entryPoints bool
	kit         kitOptions
}

func newLaunchers(a *app) *command {
	o := &launchersOptions{}
	c := &command{
		name:  "launchers",
		args:  "[list | show NAME | test NAME] [--json] [--entry-points]",
		short: "list the launchers that were found, show one, or test one",
		long: `List the launchers: the plugins that start controllers and engines on some system. A
launcher called NAME is an executable ipcore-launcher-NAME; the first folder that has it
wins. "show" tells more about one and accepts a path as well. A name that no executable
has is looked for among the entry points of your Python; "list" asks it with
--entry-points only, since that takes a moment.

"test" runs the conformance kit on one: it starts the plugin many times, has it start
small workloads on its system, and prints one line for each thing that a launcher has to
do. The exit code is 0 when all that applies passed. Options of the launcher are
--NAME.option=value, or --Class.option=value for the kinds that have the class.`,
		example: `ipcore launchers
			ipcore launchers show local
			ipcore launchers test ./ipcore-launcher-mine
			ipcore launchers test slurm --slurm.queue=debug --dir=$HOME --patience=2m
			ipcore launchers --json`,
		flags: newFlags("launchers"), traits: map[string]string{}, launchers: true,
	}
	o.place.flags(c.flags)
	hide(c.flags, "cluster-id")
	c.flags.BoolVar(&o.asJSON, "json", false, "print JSON")
	c.flags.BoolVar(&o.entryPoints, "entry-points", false, "list: also those behind entry points of your Python ($IPCORE_PYTHON, an active environment's, python3)")
	o.kit.flags(c.flags)
	c.run = func(ctx context.Context, args []string) error {
		switch {
		case len(c.settings) > 0 && (len(args) == 0 || args[0] != "test"):
			return &usageError{text: "launchers: " + c.settings[0].Name() + " sets nothing here", hint: "options of launchers are for ipcore launchers test, and for ipcore start"}
		case len(args) == 0 || len(args) == 1 && args[0] == "list":
			return o.list(ctx, a)
		case len(args) == 2 && args[0] == "show":
			return o.show(ctx, a, args[1])
		case len(args) == 2 && args[0] == "test":
			return o.test(ctx, a, args[1], c.settings)
		}
		return &usageError{text: "launchers: unexpected arguments " + strings.Join(args, " "), hint: "use: ipcore launchers list, ipcore launchers show NAME, or ipcore launchers test NAME"}
	}
	return c
}

func (o *launchersOptions) search() (registry.Search, error) {
	p, _, err := o.place.resolve()
	return registry.Search{ProfileDir: p.Dir}, err
}

// launcher is one launcher as --json tells it.
type launcher struct {
	Name     string             `json:"name"`
	Version  string             `json:"version"`
	Kinds    []sdk.Kind         `json:"kinds"`
	Powers   []sdk.Capability   `json:"powers"`
	Path     string             `json:"path"`
	Place    registry.SearchDir `json:"place"`
	Shadowed []string           `json:"shadowed"`
	Options  []sdk.Option       `json:"options"`
	Common   []sdk.Option       `json:"common_options"` // that ipcore does for every launcher

	Classes map[sdk.Kind][]string `json:"classes"`         // by which configuration reaches it
	Remote  bool                  `json:"remote"`          // workloads may run on other machines
	Error   string                `json:"error,omitempty"` // why it can't be used
}

func described(f *registry.Executable) launcher {
	l := launcher{
		Name: f.Name, Version: f.Info.Version, Kinds: f.Info.Kinds, Powers: f.Info.Capabilities,
		Path: f.Path, Place: f.Place, Shadowed: f.Shadowed, Options: f.Info.Options,
		Common: settings.CommonOptions, Classes: f.Info.Classes, Remote: f.Info.Remote,
	}
	if f.Err != nil {
		l.Error = f.Err.Error()
	}
	return l
}

func (o *launchersOptions) list(ctx context.Context, a *app) error {
	search, err := o.search()
	if err != nil {
		return err
	}
	all, err := registry.List(ctx, search)
	if err != nil {
		return err
	}
	var python string
	var points []registry.EntryPoint
	if o.entryPoints {
		if python, points, err = registry.EntryPoints(ctx, search); err != nil {
			return err
		}
		points = slices.DeleteFunc(points, func(p registry.EntryPoint) bool { // executables go before
			return slices.ContainsFunc(all, func(f registry.Executable) bool { return f.Name == strings.ToLower(p.Name) })
		})
	}
	if o.asJSON {
		list := make([]launcher, 0, len(all)+len(points))
		for i := range all {
			list = append(list, described(&all[i]))
		}
		for _, p := range points {
			list = append(list, launcher{Name: p.Name, Kinds: []sdk.Kind{p.Kind}, Path: p.Class, Place: registry.SearchDir{Dir: python, Why: "entry point"}})
		}
		return writeJSON(a.Out, list)
	}
	a.outf("%-12s %-32s %-10s %s\n", "NAME", "KINDS", "VERSION", "PATH")
	for _, f := range all {
		if f.Err != nil {
			a.outf("%-12s %-32s %-10s %s\n", f.Name, "can't be used: "+f.Err.Error(), "-", f.Path)
			continue
		}
		a.outf("%-12s %-32s %-10s %s\n", f.Name, kindList(f.Info.Kinds), f.Info.Version, f.Path)
		for _, path := range f.Shadowed {
			a.outf("%-12s %-32s %-10s %s\n", "", "(shadowed)", "", path)
		}
	}
	for _, p := range points {
		a.outf("%-12s %-32s %-10s %s in %s\n", p.Name, string(p.Kind), "", p.Class, python)
	}
	if len(all) == 0 {
		a.errf("no launcher was found in:\n")
		for _, p := range search.Dirs() {
			a.errf("  %s (%s)\n", p.Dir, p.Why)
		}
	}
	return nil
}

func (o *launchersOptions) show(ctx context.Context, a *app, name string) error {
	search, err := o.search()
	if err != nil {
		return err
	}
	f, err := o.one(ctx, name, search)
	if err != nil {
		return err
	}
	if o.asJSON {
		return writeJSON(a.Out, described(f))
	}
	powers := make([]string, 0, len(f.Info.Capabilities))
	for _, p := range f.Info.Capabilities {
		powers = append(powers, string(p))
	}
	a.outf("name      %s\nversion   %s\nkinds     %s\npowers    %s\npath      %s\nfound in  %s (%s)\n",
		f.Name, f.Info.Version, kindList(f.Info.Kinds), strings.Join(powers, ", "), f.Path, f.Place.Dir, f.Place.Why)
	for _, path := range f.Shadowed {
		a.outf("shadows   %s\n", path)
	}
	for _, k := range f.Info.Kinds {
		if classes := f.Info.Classes[k]; len(classes) > 0 {
			a.outf("classes   %s: %s\n", k, strings.Join(classes, ", "))
		}
	}
	if len(f.Info.Options) > 0 {
		a.outf("\noptions: --%s.NAME=value, or --CLASS.NAME=value\n", f.Info.Name)
	}
	showOptions(a, f.Info.Options)
	a.outf("\noptions of every launcher:\n")
	showOptions(a, settings.CommonOptions)
	return nil
}

func showOptions(a *app, options []sdk.Option) {
	for _, o := range options {
		facts := o.Type
		if len(o.Default) > 0 {
			facts += ", default " + string(o.Default)
		}
		if o.Secret {
			facts += ", secret"
		}
		if len(o.Kinds) > 0 {
			facts += ", only " + kindList(o.Kinds)
		}
		a.outf("  %s (%s): %s\n", o.Name, facts, o.Help)
	}
}

// allOptions lists the options of all launchers that are found, for --help-all.
func allOptions(ctx context.Context, a *app, of place) error {
	p, _, err := of.resolve()
	if err != nil {
		return err
	}
	all, err := registry.List(ctx, registry.Search{ProfileDir: p.Dir})
	if err != nil {
		return err
	}
	for _, f := range all {
		if f.Err != nil {
			a.errf("warning: launcher %q: %v\n", f.Name, f.Err)
			continue
		}
		a.outf("\nOptions of the launcher %s, --%s.NAME=value:\n", f.Name, f.Info.Name)
		showOptions(a, f.Info.Options)
	}
	a.outf("\nOptions of every launcher:\n")
	showOptions(a, settings.CommonOptions)
	return nil
}

// one finds a launcher by name or path, whatever it starts.
func (o *launchersOptions) one(ctx context.Context, name string, search registry.Search) (*registry.Executable, error) {
	all, err := registry.List(ctx, search)
	if err != nil {
		return nil, err
	}
	for _, f := range all {
		if f.Name == strings.ToLower(name) {
			if f.Err != nil {
				return nil, fmt.Errorf("launcher %q (%s): %w", f.Name, f.Path, f.Err)
			}
			return &f, nil
		}
	}
	f, err := registry.Find(ctx, sdk.Engine, name, search)
	if err != nil {
		if c, controllerErr := registry.Find(ctx, sdk.Controller, name, search); controllerErr == nil {
			return c, nil
		}
	}
	return f, err
}

func kindList(kinds []sdk.Kind) string {
	words := make([]string, len(kinds))
	for i, k := range kinds {
		words[i] = string(k)
	}
	return strings.Join(words, ", ")
}
