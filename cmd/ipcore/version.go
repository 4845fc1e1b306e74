package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/ipcore/ipcore/cmd/ipcore/internal/cli"
)

// version is set by the linker for a release; without it the module's version is shown.
var version = ""

// build describes this executable.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

func thisBuild() build {
	b := build{Version: version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Revision = s.Value
		}
	}
	return b
}

func newVersion(a *cli.App) *cli.Command {
	var asJSON bool
	c := cli.NewCommand(&cobra.Command{
		Use:               "version [--json]",
		Short:             "print the version",
		Long:              "Print the version of this ipcore.",
		Example:           "ipcore version --json",
		Args:              cli.NoArguments,
		ValidArgsFunction: cli.NoCompletion,
	})
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	c.RunE = func(*cobra.Command, []string) error {
		b := thisBuild()
		if asJSON {
			return a.WriteJSON(b)
		}
		a.Outf("ipcore %s (%s %s/%s)\n", b.Version, b.Go, b.OS, b.Arch)
		return nil
	}
	return c
}
