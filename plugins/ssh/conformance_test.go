//go:build unix

package ssh

import (
	"encoding/json"
	"maps"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/plugintest"
)

// fake returns options that select an ssh of the tests: real shells and real
// processes on this machine, and no network. Its folder is in FAKE_SSH_DIR.
func fake(t *testing.T, more map[string]any) (options []byte, dir string) {
	t.Helper()
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip("setsid is not there (Debian: apt-get install util-linux)")
	}
	at, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	all := map[string]any{
		"ssh_cmd":      []string{"env", "FAKE_SSH_DIR=" + dir, filepath.Join(at, "ssh")},
		"scp_cmd":      []string{"env", "FAKE_SSH_DIR=" + dir, filepath.Join(at, "scp")},
		"poll_seconds": 0.1, "stop_seconds_until_kill": 0.5, "connect_timeout": 5,
	}
	maps.Copy(all, more)
	options, err = json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return options, dir
}

// A set is spread over hosts; a controller is on one, as an engine on its own would.
func TestConformance(t *testing.T) {
	info := Info()
	info.Kinds = []sdk.Kind{sdk.Controller, sdk.Engine}
	plugintest.Run(t, plugintest.Config{Info: info, New: New, DefaultN: 3, Prepare: func(t *testing.T, r *sdk.StartRequest) {
		more := map[string]any{"hostname": "h1"}
		if r.Kind == sdk.Engine {
			more = map[string]any{"engines": json.RawMessage(`{"h1": 1, "me@h2:2200": {"n": 1, "ssh_args": ["-i", "key"]}, "h3": [1, []]}`)}
		}
		r.Options, _ = fake(t, more)
	}})
}
