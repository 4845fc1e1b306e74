package buildinfo

import (
	"runtime/debug"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	vcs := []debug.BuildSetting{
		{Key: "vcs.revision", Value: "1f2e3d4c5b6a79880011"}, {Key: "vcs.time", Value: "2026-12-01T04:50:00Z"},
		{Key: "vcs.modified", Value: "true"},
	}
	for _, c := range []struct {
		name     string
		linker   [3]string
		recorded debug.BuildInfo
		want     [3]string
		text     string
	}{
		{
			"released", [3]string{"0.1.0", "abc", "2026-12-02T00:00:00Z"}, debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: vcs},
			[3]string{"0.1.0", "abc", "2026-12-02T00:00:00Z"}, "0.1.0 (commit abc, 2026-12-02T00:00:00Z, go",
		},
		{
			"by go install", [3]string{}, debug.BuildInfo{Main: debug.Module{Version: "v0.1.0"}},
			[3]string{"0.1.0", "", ""}, "0.1.0 (go",
		},
		{
			"by go build in a clone", [3]string{}, debug.BuildInfo{Main: debug.Module{Version: "v0.0.0-20261201045000-1f2e3d4c5b6a+dirty"}, Settings: vcs},
			[3]string{"0.0.0-20261201045000-1f2e3d4c5b6a+dirty", "1f2e3d4c5b6a79880011-dirty", "2026-12-01T04:50:00Z"},
			"0.0.0-20261201045000-1f2e3d4c5b6a+dirty (commit 1f2e3d4c5b6a-dirty, 2026-12-01T04:50:00Z, go",
		},
		{"nothing recorded", [3]string{}, debug.BuildInfo{}, [3]string{Unknown, "", ""}, "(devel) (go"},
	} {
		t.Run(c.name, func(t *testing.T) {
			version, commit, date = c.linker[0], c.linker[1], c.linker[2]
			t.Cleanup(func() { version, commit, date = "", "", "" })
			i := read(&c.recorded)
			if got := [3]string{i.Version, i.Commit, i.Date}; got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if !strings.HasPrefix(i.String(), c.text) {
				t.Errorf("got %q, want it to begin %q", i, c.text)
			}
		})
	}
	if i := Read(); i.Version == "" || i.Go == "" || i.OS == "" || i.Arch == "" {
		t.Errorf("this test program: %+v", i)
	}
}
