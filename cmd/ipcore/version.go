package main

import (
	"context"
	"encoding/json"
	"runtime"
	"runtime/debug"
)

// version is set by the linker for a release; else the module's own is shown.
var version = ""

// build says what this binary is.
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

func newVersion(a *app) *command {
	var asJSON bool
	c := &command{
		name:    "version",
		args:    "[--json]",
		short:   "print the version",
		long:    "Print the version of this ipcore.",
		example: "ipcore version --json",
		flags:   newFlags("version"),
	}
	c.flags.BoolVar(&asJSON, "json", false, "print a JSON object")
	c.run = func(_ context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		b := thisBuild()
		if asJSON {
			return writeJSON(a.Out, b)
		}
		a.outf("ipcore %s (%s %s/%s)\n", b.Version, b.Go, b.OS, b.Arch)
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
