//go:build unix

package ssh

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

// Engines get the ports of their end of the tunnel, which is opened again when it
// breaks, and ends with them.
func TestTunnel(t *testing.T) {
	b := newBed(t, sdk.Engine, map[string]any{"engines": json.RawMessage(`{"h1": 1, "h2": 1}`), "tunnel": true})
	r := b.request(0, `echo "$IPP_CONNECTION_INFO" >"$HOME/info.new"; mv "$HOME/info.new" "$HOME/info"; exec sleep 300`)
	r.LogDir = filepath.Join(b.dir, "log")
	r.EngineFile = filepath.Join(b.dir, "ipcontroller-c-engine.json")
	r.Env["IPP_CONNECTION_INFO"] = "the controller's own"
	file := `{"interface": "tcp://*", "location": "here", "registration": 5001, "hb_ping": 5002, "broadcast": [5003, 5002], "key": "k", "control": null}`
	if err := os.WriteFile(r.EngineFile, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	until(t, "all run", func() bool { return len(b.glob("home/h?/info")) == 2 })
	for _, name := range b.glob("home/h?/info") {
		var got struct {
			Interface, Location, Key string
			Registration             int
			Ping                     int `json:"hb_ping"`
			Broadcast                []int
		}
		text, err := os.ReadFile(name)
		if err == nil {
			err = json.Unmarshal(text, &got)
		}
		if err != nil || got.Interface != "tcp://127.0.0.1" || got.Key != "k" || got.Location == "here" || got.Registration != 15001 || got.Ping != 15002 || fmt.Sprint(got.Broadcast) != "[15003 15002]" {
			t.Errorf("%s, %v", text, err)
		}
	}
	b.machines[0].tunnel.mu.Lock()
	first := b.machines[0].tunnel.Process
	b.machines[0].tunnel.mu.Unlock()
	if p, err := process.Attach(first); err != nil {
		t.Fatal(err)
	} else if err := p.Signal("KILL"); err != nil {
		t.Fatal(err)
	}
	var tunnels []string
	until(t, "it is opened again", func() bool {
		state, err := b.ToDict(t.Context())
		var s struct {
			Hosts []struct{ Tunnel tunnelState }
		}
		if err != nil || json.Unmarshal(state, &s) != nil {
			t.Fatal(err)
		}
		return len(s.Hosts) == 2 && s.Hosts[0].Tunnel.Process.PID != first.PID
	})
	until(t, "three calls for tunnels", func() bool { // a process is there before it has written its call down
		calls, err := os.ReadFile(filepath.Join(b.dir, "calls"))
		if err != nil {
			t.Fatal(err)
		}
		tunnels = nil
		for line := range strings.Lines(string(calls)) {
			if strings.Contains(line, " -N ") && strings.HasSuffix(line, "\n") {
				tunnels = append(tunnels, line)
			}
		}
		return len(tunnels) >= 3
	})
	if n := len(tunnels); n != 3 || !strings.Contains(tunnels[n-1], "-R 127.0.0.1:15001:127.0.0.1:5001") || strings.Contains(tunnels[n-1], ":0:") {
		t.Errorf("tunnels %q", tunnels)
	}
	again := b.fresh(sdk.Engine)
	state, err := b.ToDict(t.Context())
	if err == nil {
		err = again.FromDict(t.Context(), state)
	}
	if err == nil {
		err = again.Stop(t.Context())
	}
	if err != nil {
		t.Error(err)
	}
	until(t, "the tunnels have ended", func() bool {
		found, err := process.FindByEnv("FAKE_SSH_DIR", func(v string) bool { return v == b.dir })
		return err != nil || len(found) == 0
	})
}
