package main

import (
	"context"
	"encoding/json"

	"github.com/ipcore/ipcore/sdk/buildinfo"
)

func newVersion(a *app) *command {
	var asJSON bool
	c := &command{
		name:  "version",
		args:  "[--json]",
		short: "print the version",
		long: `Print the version of this ipcore, the commit that it was built from and that commit's
date. The launchers that come with it have the same version: ipcore launchers.`,
		example: "ipcore version --json",
		flags:   newFlags("version"),
	}
	c.flags.BoolVar(&asJSON, "json", false, "print a JSON object")
	c.run = func(_ context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		info := buildinfo.Read()
		if asJSON {
			return writeJSON(a.Out, info)
		}
		a.outf("ipcore %s\n", info)
		return nil
	}
	return c
}

func writeJSON(w interface{ Write([]byte) (int, error) }, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
