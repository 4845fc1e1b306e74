//go:build unix

package ssh

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ipcore/ipcore/sdk"
)

// The connection files of an earlier controller on the host are removed, unless the
// request says that they are kept.
func TestKeptFiles(t *testing.T) {
	for _, keep := range []bool{false, true} {
		b := newBed(t, sdk.Controller, map[string]any{"hostname": "h1"})
		r := b.request(0, `ls "$IPP_PROFILE_DIR/security" >"$HOME/ls.new"; mv "$HOME/ls.new" "$HOME/ls"; exec sleep 300`)
		r.Command = append(r.Command, "x")
		r.KeepConnectionFiles = keep
		r.Env["IPP_PROFILE_DIR"] = r.ProfileDir
		folder := filepath.Join(r.ProfileDir, "security")
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		b.write(filepath.Join(folder, "ipcontroller-c-client.json"))
		b.write(filepath.Join(folder, "ipcontroller-c-engine.json"))
		if err := b.Start(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		ls := filepath.Join(b.dir, "home", "h1", "ls")
		until(t, "it has looked", func() bool { _, err := os.Stat(ls); return err == nil })
		if text, err := os.ReadFile(ls); err != nil || (strings.Count(string(text), ".json\n") == 2) != keep {
			t.Errorf("keep %t: found %q, %v", keep, text, err)
		}
	}
}

// The connection file goes along to engines, unless they are to find one that is
// there.
func TestSendConnectionFiles(t *testing.T) {
	for send, want := range map[string]int{"true": 2, "false": 0} {
		b := newBed(t, sdk.Engine, map[string]any{"engines": json.RawMessage(`{"h1": 1, "h2": 1}`), "send_connection_files": json.RawMessage(send)})
		r := b.request(0, "exec sleep 300")
		r.ProfileDir = filepath.Join(b.home(), ".ipython", "profile_x")
		r.EngineFile = filepath.Join(b.dir, "ipcontroller-c-engine.json")
		if err := os.WriteFile(r.EngineFile, []byte(`{"key": "k"}`), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := b.Start(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if got := b.glob("home/h?/.ipython/profile_x/security/ipcontroller-c-engine.json"); len(got) != want {
			t.Errorf("send_connection_files=%s: there are %q", send, got)
		}
		if err := b.Launcher.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
