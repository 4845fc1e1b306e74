// Package reference renders the reference documentation: a page for each command,
// in Markdown or as a man page, and a page for each launcher with its options.
package reference

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/ipcore/ipcore/cmd/ipcore/internal/cli"
	"github.com/ipcore/ipcore/sdk"
)

// notice begins every page.
const notice = "<!-- Written by `make reference`; changes here get lost. -->\n\n"

// Commands returns the Markdown pages of the commands by file name. ipcore.md is
// the index.
func Commands(a *cli.App) map[string]string {
	pages := map[string]string{}
	var b strings.Builder
	b.WriteString(notice + "# Commands\n\n")
	b.WriteString("`ipcore` without a command, or followed by an option, is `ipcore start`.\n\n")
	b.WriteString("| command | purpose |\n|---|---|\n")
	for _, c := range a.Commands() {
		if c.Hidden {
			continue
		}
		fmt.Fprintf(&b, "| [`ipcore %s`](%s) | %s |\n", c.Name(), fileName(c)+".md", cell(c.Short))
		pages[fileName(c)+".md"] = command(c)
	}
	b.WriteString("\n## Exit codes\n\n| code | meaning |\n|---|---|\n")
	for _, e := range exitCodes {
		fmt.Fprintf(&b, "| %d | %s |\n", e.code, cell(e.meaning))
	}
	pages["ipcore.md"] = b.String()
	return pages
}

// exitCodes are the exit codes of all commands.
var exitCodes = []struct {
	code    int
	meaning string
}{
	{0, "success"},
	{cli.ExitFailure, "failure"},
	{cli.ExitUsage, "the command line or a setting is not valid"},
	{cli.ExitAlreadyRunning, "the cluster is running already"},
	{cli.ExitNoCluster, "no such cluster or controller is running"},
	{cli.ExitTimeout, "the time of ipcore wait is over"},
	{cli.ExitInterrupted, "interrupted while a cluster was starting in the background; it was stopped"},
	{255, "ipcore engine: the controller did not register the engine"},
}

// fileName returns the name of a command's page without its extension.
func fileName(c *cli.Command) string { return "ipcore-" + c.Name() }

// command returns the page of a command.
func command(c *cli.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s# ipcore %s\n\n%s\n\n    %s\n", notice, c.Name(), strings.TrimSpace(c.Long), c.UseLine())
	b.WriteString("\n## Examples\n\n```sh\n" + strings.Join(cli.Examples(c.Command), "\n") + "\n```\n")
	shown, hidden, ignored := options(c)
	b.WriteString("\n## Options\n\n" + optionTable(shown))
	if len(hidden) > 0 {
		b.WriteString("\nNot in `--help`:\n\n" + optionTable(hidden))
	}
	if len(ignored) > 0 {
		names := make([]string, len(ignored))
		for i, f := range ignored {
			names[i] = "`--" + f.Name + "`"
		}
		b.WriteString("\nAccepted for compatibility, without effect: " + strings.Join(names, ", ") + ".\n")
	}
	if len(c.Traits) > 0 {
		b.WriteString("\n## Configuration\n\nNames of IPython Parallel's configuration, in files and as `--Class.trait=value`, and the options that they set:\n\n")
		b.WriteString("| name | option |\n|---|---|\n")
		for _, name := range slices.Sorted(maps.Keys(c.Traits)) {
			if f := c.Flags().Lookup(c.Traits[name]); f != nil {
				fmt.Fprintf(&b, "| `%s` | `--%s` |\n", name, f.Name)
			}
		}
	}
	return b.String()
}

// options returns the flags that the help shows, those that it does not show, and
// those without effect.
func options(c *cli.Command) (shown, hidden, ignored []*pflag.Flag) {
	c.Flags().VisitAll(func(f *pflag.Flag) {
		switch {
		case f.Name == "help-all" && c.HelpAll == nil:
		case f.Usage == cli.NoEffect:
			ignored = append(ignored, f)
		case f.Hidden:
			hidden = append(hidden, f)
		default:
			shown = append(shown, f)
		}
	})
	return shown, hidden, ignored
}

func optionTable(flags []*pflag.Flag) string {
	var b strings.Builder
	b.WriteString("| option | meaning |\n|---|---|\n")
	for _, f := range flags {
		names, meaning := option(f)
		fmt.Fprintf(&b, "| `%s` | %s |\n", names, cell(meaning))
	}
	return b.String()
}

// option returns a flag's names with its value, "-n, --n N", and its meaning with
// its default.
func option(f *pflag.Flag) (names, meaning string) {
	value, meaning := pflag.UnquoteUsage(f)
	names = "--" + f.Name
	if f.Shorthand != "" {
		names = "-" + f.Shorthand + ", " + names
	}
	if value != "" && f.NoOptDefVal == "" {
		names += " " + value
	}
	switch f.DefValue {
	case "", "0", "0s", "false", "[]":
	default:
		meaning += " (default " + f.DefValue + ")"
	}
	return names, meaning
}

// Launchers returns the Markdown pages of launchers by file name, with the options
// that all of them have in README.md.
func Launchers(all []sdk.Info, common []sdk.Option) map[string]string {
	pages := map[string]string{}
	var b strings.Builder
	b.WriteString(notice + "# Options of launchers\n\n")
	b.WriteString("The launcher `NAME` of a start takes its options as `--NAME.option=value`, or as `--Class.option=value` with one of its\n" +
		"classes, on the command line and in the profile's `ipcluster_config.json`. [hpc.md](../../hpc.md) explains when to use which launcher,\n" +
		"[launchers.md](../../launchers.md) what each can do.\n\n")
	b.WriteString("| launcher | starts |\n|---|---|\n")
	for _, i := range all {
		fmt.Fprintf(&b, "| [`%s`](%s.md) | %s |\n", i.Name, i.Name, kinds(i.Kinds))
		pages[i.Name+".md"] = launcher(i)
	}
	b.WriteString("\n## Options of every launcher\n\n" + launcherOptions(common))
	pages["README.md"] = b.String()
	return pages
}

func launcher(i sdk.Info) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s# Launcher `%s`\n\nIt starts: %s.\n", notice, i.Name, kinds(i.Kinds))
	if len(i.Capabilities) > 0 {
		names := make([]string, len(i.Capabilities))
		for n, c := range i.Capabilities {
			names[n] = string(c)
		}
		fmt.Fprintf(&b, "\nCapabilities: %s.\n", strings.Join(names, ", "))
	}
	if len(i.Classes) > 0 {
		b.WriteString("\n## Classes\n\n")
		for _, k := range i.Kinds {
			if classes := i.Classes[k]; len(classes) > 0 {
				fmt.Fprintf(&b, "- %s: `%s`\n", k, strings.Join(classes, "`, `"))
			}
		}
	}
	fmt.Fprintf(&b, "\n## Options\n\n")
	if len(i.Options) == 0 {
		b.WriteString("None, besides the [options of every launcher](README.md#options-of-every-launcher).\n")
		return b.String()
	}
	b.WriteString(launcherOptions(i.Options))
	b.WriteString("\nSee also the [options of every launcher](README.md#options-of-every-launcher).\n")
	return b.String()
}

func launcherOptions(options []sdk.Option) string {
	var b strings.Builder
	b.WriteString("| option | type | default | only for | meaning |\n|---|---|---|---|---|\n")
	for _, o := range options {
		value := ""
		if len(o.Default) > 0 {
			value = "`" + strings.ReplaceAll(string(o.Default), "|", `\|`) + "`"
		}
		meaning := o.Help
		if o.Secret {
			meaning += " (secret: shown nowhere)"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", o.Name, o.Type, value, kinds(o.Kinds), cell(meaning))
	}
	return b.String()
}

func kinds(all []sdk.Kind) string {
	words := make([]string, len(all))
	for i, k := range all {
		words[i] = string(k)
	}
	return strings.Join(words, ", ")
}

// cell returns a text for a cell of a Markdown table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;", "*", `\*`, "\n", " ").Replace(text)
}
