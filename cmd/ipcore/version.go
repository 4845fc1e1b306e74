package main

import (
	"github.com/spf13/cobra"

	"github.com/ipcore/ipcore/cmd/ipcore/internal/cli"
	"github.com/ipcore/ipcore/sdk/buildinfo"
)

func newVersion(a *cli.App) *cli.Command {
	var asJSON bool
	c := cli.NewCommand(&cobra.Command{
		Use:   "version [--json]",
		Short: "print the version",
		Long: `Print the version of this ipcore, the commit that it was built from and the date of
that commit. The launchers that come with it have the same version: ipcore launchers.`,
		Example:           "ipcore version --json",
		Args:              cli.NoArguments,
		ValidArgsFunction: cli.NoCompletion,
	})
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	c.RunE = func(*cobra.Command, []string) error {
		info := buildinfo.Read()
		if asJSON {
			return a.WriteJSON(info)
		}
		a.Outf("ipcore %s\n", info)
		return nil
	}
	return c
}
