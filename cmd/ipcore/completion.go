package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ipcore/ipcore/cmd/ipcore/internal/cli"
)

func newCompletion(a *cli.App) *cli.Command {
	shells := strings.Join(cli.Shells[:len(cli.Shells)-1], ", ") + " or " + cli.Shells[len(cli.Shells)-1]
	c := cli.NewCommand(&cobra.Command{
		Use:   "completion " + strings.Join(cli.Shells, " | "),
		Short: "print a script that lets a shell complete commands",
		Long: `Print a script for a shell. With it, Tab completes commands, options, launchers, profiles
and the ids of clusters.`,
		Example: `source <(ipcore completion bash)         # in ~/.bashrc
			source <(ipcore completion zsh)          # in ~/.zshrc, after compinit
			ipcore completion fish | source          # in ~/.config/fish/config.fish
			ipcore completion powershell | Out-String | Invoke-Expression`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || !slices.Contains(cli.Shells, args[0]) {
				return cli.UsageError("completion needs the name of a shell", "use "+shells)
			}
			return a.WriteCompletion(args[0])
		},
	})
	c.ValidArgsFunction = cli.FirstArgument(cli.Shells...)
	return c
}
