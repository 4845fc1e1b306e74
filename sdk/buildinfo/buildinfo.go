// Package buildinfo says which version of a program this executable is: what the
// linker was told, else what Go itself recorded.
package buildinfo

import (
	"runtime"
	"runtime/debug"
	"strings"
)

// The linker sets these for the executables of a repository that has one version
// for all of them:
//
//	go build -ldflags "-X github.com/ipcore/ipcore/sdk/buildinfo.version=0.1.0"
//
// They describe the executable, not the sdk: a launcher built elsewhere without
// them gets the version of its own main module.
var version, commit, date string

// Unknown is the version of an executable of which neither the linker nor Go
// recorded one.
const Unknown = "(devel)"

// Info describes this executable.
type Info struct {
	Version string `json:"version"`          // without a leading "v": "0.1.0"
	Commit  string `json:"commit,omitempty"` // full hash; ends in "-dirty" if files were changed
	Date    string `json:"date,omitempty"`   // of the commit, RFC 3339 in UTC
	Go      string `json:"go"`               // version of the compiler
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

// Read returns what is known about this executable.
func Read() Info {
	recorded, ok := debug.ReadBuildInfo()
	if !ok {
		recorded = &debug.BuildInfo{}
	}
	return read(recorded)
}

// read combines what the linker set with what Go recorded.
func read(recorded *debug.BuildInfo) Info {
	i := Info{Version: version, Commit: commit, Date: date, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if i.Version == "" {
		i.Version = recorded.Main.Version
	}
	if i.Version = strings.TrimPrefix(i.Version, "v"); i.Version == "" {
		i.Version = Unknown
	}
	if i.Commit != "" {
		return i
	}
	settings := map[string]string{}
	for _, s := range recorded.Settings {
		settings[s.Key] = s.Value
	}
	i.Commit, i.Date = settings["vcs.revision"], settings["vcs.time"]
	if i.Commit != "" && settings["vcs.modified"] == "true" {
		i.Commit += "-dirty"
	}
	return i
}

// String returns the description on one line, with the beginning of the commit's
// hash: "0.1.0 (commit 1f2e3d4c5b6a, 2026-12-01T04:50:00Z, go1.26.8 linux/amd64)".
func (i Info) String() string {
	var b strings.Builder
	b.WriteString(i.Version + " (")
	if i.Commit != "" {
		hash, changed, _ := strings.Cut(i.Commit, "-")
		b.WriteString("commit " + hash[:min(len(hash), 12)])
		if changed != "" {
			b.WriteString("-" + changed)
		}
		b.WriteString(", ")
	}
	if i.Date != "" {
		b.WriteString(i.Date + ", ")
	}
	b.WriteString(i.Go + " " + i.OS + "/" + i.Arch + ")")
	return b.String()
}
