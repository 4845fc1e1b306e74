package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ipcore/ipcore/cmd/ipcore/internal/cli"
	"github.com/ipcore/ipcore/cmd/ipcore/internal/traits"
	"github.com/ipcore/ipcore/core/launch/registry"
	"github.com/ipcore/ipcore/core/launch/settings"
	"github.com/ipcore/ipcore/sdk"
)

type launchersOptions struct {
	cli.Target
	asJSON      bool
	entryPoints bool
	checks      conformanceOptions
}

func newLaunchers(a *cli.App) *cli.Command {
	o := &launchersOptions{}
	c := cli.NewCommand(&cobra.Command{
		Use:   "launchers [list | show NAME | test NAME] [--json] [--entry-points]",
		Short: "list the launchers that were found, show one, or test one",
		Long: `List the launchers: the plugins that start controllers and engines on some system. A
launcher called NAME is an executable ipcore-launcher-NAME; the first folder that has it
takes precedence. "show" describes one and accepts a path as well. A name without an
executable is looked for among the entry points of your Python; "list" includes those
only with --entry-points, since asking Python takes a moment.

"test" runs the conformance checks on one launcher: it starts the plugin many times, has it
start small workloads on its system, and prints one line for each requirement. The exit
code is 0 when all checks that apply have passed. Options of the launcher are
--NAME.option=value, or --Class.option=value for the kinds that have the class.`,
		Example: `ipcore launchers
			ipcore launchers show local
			ipcore launchers test ./ipcore-launcher-mine
			ipcore launchers test slurm --slurm.queue=debug --dir=$HOME --patience=2m
			ipcore launchers --json`,
	})
	c.Traits, c.Launchers = traits.Table{}, true
	c.ValidArgsFunction = func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		switch {
		case len(args) == 0:
			return cli.Beginning(word, []string{"list", "show", "test"}), cobra.ShellCompDirectiveNoFileComp
		case len(args) == 1 && args[0] != "list":
			return completeLauncher(&o.Target)(cmd, args, word)
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	c.Flags().BoolVar(&o.asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&o.entryPoints, "entry-points", false, "list: include the entry points of your Python ($IPCORE_PYTHON, an active environment's, python3)")
	o.checks.addFlags(c)
	o.AddFlags(c)
	c.Hide("cluster-id")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		switch {
		case len(c.Settings) > 0 && (len(args) == 0 || args[0] != "test"):
			return cli.UsageError("launchers: "+c.Settings[0].Name()+" has no effect with this command", "options of launchers are for ipcore start and ipcore launchers test")
		case len(args) == 0 || len(args) == 1 && args[0] == "list":
			return o.list(ctx, a)
		case len(args) == 2 && args[0] == "show":
			return o.show(ctx, a, args[1])
		case len(args) == 2 && args[0] == "test":
			return o.test(ctx, a, args[1], c.Settings)
		}
		return cli.UsageError("launchers: unexpected arguments "+strings.Join(args, " "), "use: ipcore launchers list, ipcore launchers show NAME, or ipcore launchers test NAME")
	}
	return c
}

// completeLauncher completes the name of a launcher of a target's profile, or a path.
func completeLauncher(t *cli.Target) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		p, _, err := t.Resolve()
		if err != nil {
			return nil, cobra.ShellCompDirectiveDefault
		}
		all, err := registry.List(cmd.Context(), registry.Search{ProfileDir: p.Dir})
		if err != nil {
			return nil, cobra.ShellCompDirectiveDefault
		}
		var names []string
		for _, f := range all {
			if f.Err == nil {
				names = append(names, f.Name)
			}
		}
		return cli.Beginning(word, names), cobra.ShellCompDirectiveDefault
	}
}

func (o *launchersOptions) search() (registry.Search, error) {
	p, _, err := o.Resolve()
	return registry.Search{ProfileDir: p.Dir}, err
}

// launcher is one launcher in the form of --json.
type launcher struct {
	Name         string             `json:"name"`
	Version      string             `json:"version"`
	Kinds        []sdk.Kind         `json:"kinds"`
	Capabilities []sdk.Capability   `json:"capabilities"`
	Powers       []sdk.Capability   `json:"powers"` // former name of capabilities
	Path         string             `json:"path"`
	Place        registry.SearchDir `json:"place"`
	Shadowed     []string           `json:"shadowed"`
	Options      []sdk.Option       `json:"options"`
	Common       []sdk.Option       `json:"common_options"` // those that every launcher has

	Classes map[sdk.Kind][]string `json:"classes"`         // whose settings apply to it
	Remote  bool                  `json:"remote"`          // workloads may run on other machines
	Error   string                `json:"error,omitempty"` // why it can't be used
}

func described(f *registry.Executable) launcher {
	l := launcher{
		Name: f.Name, Version: f.Info.Version, Kinds: f.Info.Kinds, Capabilities: f.Info.Capabilities, Powers: f.Info.Capabilities,
		Path: f.Path, Place: f.Place, Shadowed: f.Shadowed, Options: f.Info.Options,
		Common: settings.CommonOptions, Classes: f.Info.Classes, Remote: f.Info.Remote,
	}
	if f.Err != nil {
		l.Error = f.Err.Error()
	}
	return l
}

func (o *launchersOptions) list(ctx context.Context, a *cli.App) error {
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
		points = slices.DeleteFunc(points, func(p registry.EntryPoint) bool { // executables take precedence
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
		return a.WriteJSON(list)
	}
	t := a.NewTable("NAME", "KINDS", "VERSION", "PATH")
	for _, f := range all {
		if f.Err != nil {
			t.Row(f.Name, "-", "-", f.Path)
			t.Note("can't be used: %v", f.Err)
			continue
		}
		t.Row(f.Name, kindList(f.Info.Kinds), f.Info.Version, f.Path)
		for _, path := range f.Shadowed {
			t.Row("", "(shadowed)", "", path)
		}
	}
	for _, p := range points {
		t.Row(p.Name, p.Kind, "", p.Class+" in "+python)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(all) == 0 {
		a.Errf("no launcher was found in:\n")
		for _, p := range search.Dirs() {
			a.Errf("  %s (%s)\n", p.Dir, p.Why)
		}
	}
	return nil
}

func (o *launchersOptions) show(ctx context.Context, a *cli.App, name string) error {
	search, err := o.search()
	if err != nil {
		return err
	}
	f, err := o.one(ctx, name, search)
	if err != nil {
		return err
	}
	if o.asJSON {
		return a.WriteJSON(described(f))
	}
	capabilities := make([]string, len(f.Info.Capabilities))
	for i, c := range f.Info.Capabilities {
		capabilities[i] = string(c)
	}
	fact := func(name, text string) { a.Outf("%-13s %s\n", name, text) }
	fact("name", f.Name)
	fact("version", f.Info.Version)
	fact("kinds", kindList(f.Info.Kinds))
	fact("capabilities", strings.Join(capabilities, ", "))
	fact("path", f.Path)
	fact("found in", fmt.Sprintf("%s (%s)", f.Place.Dir, f.Place.Why))
	for _, path := range f.Shadowed {
		fact("shadows", path)
	}
	for _, k := range f.Info.Kinds {
		if classes := f.Info.Classes[k]; len(classes) > 0 {
			fact("classes", fmt.Sprintf("%s: %s", k, strings.Join(classes, ", ")))
		}
	}
	if len(f.Info.Options) > 0 {
		a.Outf("\noptions: --%s.NAME=value, or --CLASS.NAME=value\n", f.Info.Name)
	}
	showOptions(a, f.Info.Options)
	a.Outf("\noptions of every launcher:\n")
	showOptions(a, settings.CommonOptions)
	return nil
}

func showOptions(a *cli.App, options []sdk.Option) {
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
		a.Outf("  %s (%s): %s\n", o.Name, facts, o.Help)
	}
}

// allOptions prints the options of all launchers that are found, for --help-all.
func allOptions(ctx context.Context, a *cli.App, of cli.Target) error {
	p, _, err := of.Resolve()
	if err != nil {
		return err
	}
	all, err := registry.List(ctx, registry.Search{ProfileDir: p.Dir})
	if err != nil {
		return err
	}
	for _, f := range all {
		if f.Err != nil {
			a.Errf("warning: launcher %q: %v\n", f.Name, f.Err)
			continue
		}
		a.Outf("\nOptions of the launcher %s, --%s.NAME=value:\n", f.Name, f.Info.Name)
		showOptions(a, f.Info.Options)
	}
	a.Outf("\nOptions of every launcher:\n")
	showOptions(a, settings.CommonOptions)
	return nil
}

// one finds a launcher by name or path, whatever kinds of workload it starts.
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
