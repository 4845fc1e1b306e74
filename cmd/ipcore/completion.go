package main

import (
	"context"
	_ "embed"
	"slices"
	"strings"

	"github.com/ipcore/ipcore/core/launch/clusterfile"

	"github.com/spf13/pflag"

	"github.com/ipcore/ipcore/core/launch/cluster"
	"github.com/ipcore/ipcore/core/launch/registry"
	"github.com/ipcore/ipcore/core/profile"
)

// completeCommand is what the shells' scripts call: the words of the line after
// "ipcore" follow, up to the one that is being completed, which may be empty. It
// prints a candidate for that word on each line.
const completeCommand = "__complete"

// The shells' scripts.
var (
	//go:embed completion/ipcore.bash
	completionBash string
	//go:embed completion/ipcore.zsh
	completionZsh string
	//go:embed completion/ipcore.fish
	completionFish string
)

func newCompletion(a *app) *command {
	scripts := map[string]string{"bash": completionBash, "zsh": completionZsh, "fish": completionFish}
	c := &command{
		name:  "completion",
		args:  "bash | zsh | fish",
		short: "print a script that lets a shell complete commands",
		long: `Print a script for a shell. With it, Tab completes commands, options, launchers, profiles
and the ids of clusters.`,
		example: `source <(ipcore completion bash)         # in ~/.bashrc
			source <(ipcore completion zsh)          # in ~/.zshrc, after compinit
			ipcore completion fish | source          # in ~/.config/fish/config.fish`,
		flags: newFlags("completion"),
	}
	c.run = func(_ context.Context, args []string) error {
		if len(args) != 1 || scripts[args[0]] == "" {
			return &usageError{text: "completion wants the name of a shell", hint: "use bash, zsh or fish"}
		}
		a.outf("%s", scripts[args[0]])
		return nil
	}
	return c
}

// complete prints the candidates for the last of words. Nothing that goes wrong is
// told: the person is in the middle of a line.
func (a *app) complete(ctx context.Context, words []string) error {
	if len(words) == 0 {
		words = []string{""}
	}
	for _, candidate := range a.candidates(ctx, words[:len(words)-1], words[len(words)-1]) {
		a.outf("%s\n", candidate)
	}
	return nil
}

// candidates answers what the word may become that stands behind others.
func (a *app) candidates(ctx context.Context, before []string, word string) []string {
	if slices.Contains(before, "--") {
		return nil
	}
	name, rest := "start", before
	if len(before) > 0 && !strings.HasPrefix(before[0], "-") {
		name, rest = before[0], before[1:]
	} else if len(before) == 0 && !strings.HasPrefix(word, "-") {
		return beginning(word, append(a.names(), "help"))
	}
	if name == "help" {
		return beginning(word, a.names())
	}
	c := a.find(name)
	if c == nil {
		return nil
	}
	if flag, value, ok := strings.Cut(word, "="); ok && strings.HasPrefix(word, "-") {
		found := c.flags.Lookup(strings.TrimLeft(flag, "-"))
		var all []string
		for _, v := range beginning(value, a.values(ctx, found, rest)) {
			all = append(all, flag+"="+v)
		}
		return all
	}
	if strings.HasPrefix(word, "-") {
		return beginning(word, options(c))
	}
	given, open := arguments(c, rest)
	if open != nil {
		return beginning(word, a.values(ctx, open, rest))
	}
	return beginning(word, a.more(ctx, c, given, rest))
}

// arguments answers those of words that are neither an option nor the value of one,
// and the option whose value comes next, if there is one.
func arguments(c *command, words []string) (given []string, open *pflag.Flag) {
	for _, word := range words {
		switch {
		case open != nil:
			open = nil
		case !strings.HasPrefix(word, "-"):
			given = append(given, word)
		case !strings.Contains(word, "="):
			f := c.flags.Lookup(strings.TrimLeft(word, "-"))
			if f == nil && len(word) == 2 {
				f = c.flags.ShorthandLookup(word[1:])
			}
			if f != nil && f.NoOptDefVal == "" {
				open = f
			}
		}
	}
	return given, open
}

// names are the names of the commands.
func (a *app) names() []string {
	names := make([]string, 0, len(a.commands))
	for _, c := range a.commands {
		names = append(names, c.name)
	}
	return names
}

// options are a command's options, with "=" behind those that want a value.
func options(c *command) []string {
	var all []string
	c.flags.VisitAll(func(f *pflag.Flag) {
		switch {
		case f.Hidden || f.Usage == noEffect:
		case f.NoOptDefVal == "":
			all = append(all, "--"+f.Name+"=")
		default:
			all = append(all, "--"+f.Name)
		}
	})
	return all
}

// values are what an option can be set to, as far as that can be listed.
func (a *app) values(ctx context.Context, f *pflag.Flag, line []string) []string {
	if f == nil {
		return nil
	}
	switch f.Name {
	case "engines", "controller":
		return launcherNames(ctx, line)
	case "profile":
		all, err := profile.List(placeOf(line).IPythonDir)
		if err != nil {
			return nil
		}
		var names []string
		for _, p := range all {
			names = append(names, p.Name())
		}
		return names
	case "cluster-id":
		return clusterIDs(line)
	case "wait":
		return []string{"all", "none"}
	case "log-level":
		return []string{"trace", "debug", "info", "warn", "error"}
	}
	return nil
}

// more are the arguments that may follow those given.
func (a *app) more(ctx context.Context, c *command, given, line []string) []string {
	switch {
	case c.name == "stop":
		return slices.DeleteFunc(clusterIDs(line), func(id string) bool { return slices.Contains(given, id) })
	case c.name == "launchers" && len(given) == 0:
		return []string{"show", "test"}
	case c.name == "launchers" && len(given) == 1:
		return launcherNames(ctx, line)
	case c.name == "logs" && len(given) == 0:
		return []string{"controller", "engines", "supervisor"}
	case c.name == "script" && len(given) == 0:
		return []string{"controller", "engines"}
	case c.name == "completion" && len(given) == 0:
		return []string{"bash", "zsh", "fish"}
	}
	return nil
}

// placeOf answers the profile that the words of a line name.
func placeOf(line []string) *place {
	p := &place{}
	fs := pflag.NewFlagSet("place", pflag.ContinueOnError)
	fs.ParseErrorsAllowlist.UnknownFlags = true
	p.flags(fs)
	_ = fs.Parse(line) // as far as it goes
	return p
}

// launcherNames are the names of the launchers that can be used.
func launcherNames(ctx context.Context, line []string) []string {
	p, _, err := placeOf(line).resolve()
	if err != nil {
		return nil
	}
	all, err := registry.List(ctx, registry.Search{ProfileDir: p.Dir})
	if err != nil {
		return nil
	}
	var names []string
	for _, f := range all {
		if f.Err == nil {
			names = append(names, f.Name)
		}
	}
	return names
}

// clusterIDs are the ids of a profile's clusters that have one.
func clusterIDs(line []string) []string {
	p, _, err := placeOf(line).resolve()
	if err != nil {
		return nil
	}
	files, err := cluster.Files(p)
	if err != nil {
		return nil
	}
	var ids []string
	for _, file := range files {
		if r, err := clusterfile.ReadRecord(file); err == nil && r.Cluster.ClusterID != "" {
			ids = append(ids, r.Cluster.ClusterID)
		}
	}
	return ids
}

// beginning answers those of all that begin with a word.
func beginning(word string, all []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return !strings.HasPrefix(s, word) })
}
