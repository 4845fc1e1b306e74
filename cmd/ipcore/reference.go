package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/ipcore/ipcore/cmd/ipcore/internal/cli"
	"github.com/ipcore/ipcore/cmd/ipcore/internal/reference"
	"github.com/ipcore/ipcore/core/launch/registry"
	"github.com/ipcore/ipcore/core/launch/settings"
	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/buildinfo"
)

type referenceOptions struct {
	markdown  string
	man       string
	launchers string
}

// newReference returns a command for those who build and package ipcore.
func newReference(a *cli.App) *cli.Command {
	o := &referenceOptions{}
	c := cli.NewCommand(&cobra.Command{
		Use:    "reference [--markdown DIR] [--man DIR]",
		Hidden: true,
		Short:  "write the reference documentation",
		Long: `Write the reference documentation: pages of all commands and launchers in Markdown, and man
pages of all commands.`,
		Example: `ipcore reference --markdown docs/reference
			ipcore reference --man /usr/local/share/man/man1`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd, a) },
	})
	c.Flags().StringVar(&o.markdown, "markdown", "", "write Markdown into the folders commands and launchers of `DIR`")
	c.Flags().StringVar(&o.man, "man", "", "write man pages into `DIR`")
	c.Flags().StringVar(&o.launchers, "launchers", "", "`DIR` that has the launchers (default that of ipcore)")
	return c
}

func (o *referenceOptions) run(cmd *cobra.Command, a *cli.App) error {
	if o.markdown == "" && o.man == "" {
		return cli.UsageError("reference needs --markdown or --man", "")
	}
	if o.man != "" {
		if err := writePages(o.man, ".1", reference.ManPages(a, buildinfo.Read().Version)); err != nil {
			return err
		}
	}
	if o.markdown == "" {
		return nil
	}
	if err := writePages(filepath.Join(o.markdown, "commands"), ".md", reference.Commands(a)); err != nil {
		return err
	}
	all, err := o.infos(cmd)
	if err != nil {
		return err
	}
	return writePages(filepath.Join(o.markdown, "launchers"), ".md", reference.Launchers(all, settings.CommonOptions))
}

// infos returns the descriptions of the launchers in o.launchers, and of no others.
func (o *referenceOptions) infos(cmd *cobra.Command) ([]sdk.Info, error) {
	if o.launchers == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find this program's executable: %w", err)
		}
		o.launchers = filepath.Dir(self)
	}
	dir, err := filepath.Abs(o.launchers)
	if err != nil {
		return nil, err
	}
	search := registry.Search{
		Getenv: func(name string) string {
			if name == "IPCORE_LAUNCHER_PATH" {
				return dir
			}
			return ""
		},
		Executable: func() (string, error) { return filepath.Join(dir, "ipcore"), nil },
	}
	found, err := registry.List(cmd.Context(), search)
	if err != nil {
		return nil, err
	}
	var all []sdk.Info
	for _, f := range found {
		if f.Place.Dir != dir {
			continue
		}
		if f.Err != nil {
			return nil, fmt.Errorf("launcher %q (%s): %w", f.Name, f.Path, f.Err)
		}
		all = append(all, f.Info)
	}
	if len(all) == 0 {
		return nil, errors.New("there is no launcher in " + dir)
	}
	return all, nil
}

// writePages writes pages into a folder, and removes others with their extension.
func writePages(dir, extension string, pages map[string]string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("create the folder of the reference: %w", err)
	}
	old, err := filepath.Glob(filepath.Join(dir, "ipcore*"+extension))
	if extension == ".md" {
		old, err = filepath.Glob(filepath.Join(dir, "*"+extension))
	}
	if err != nil {
		return err
	}
	for _, path := range old {
		if _, ok := pages[filepath.Base(path)]; !ok {
			if err := os.Remove(path); err != nil {
				return fmt.Errorf("remove an old page: %w", err)
			}
		}
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("write the reference: %w", err)
		}
	}
	return nil
}
