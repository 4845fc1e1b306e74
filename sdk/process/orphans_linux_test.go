package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipcore/ipcore/sdk"
)

// Processes with a tag are found and removed, with the children that inherit the tag;
// processes with another tag are left alone.
func TestOrphans(t *testing.T) {
	ready := filepath.Join(t.TempDir(), "ready")
	start := func(tag, script string) *Process {
		t.Helper()
		p, err := Start(Options{Command: []string{"/bin/sh", "-c", script}, Env: map[string]string{sdk.EnvTag: tag}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := p.Stop(t.Context(), time.Millisecond); err != nil && t.Context().Err() == nil {
				t.Error(err)
			}
		})
		return p
	}
	tag := "t-" + strings.ToLower(strings.Trim(filepath.Base(t.TempDir()), "_")) + "-" + time.Now().Format("150405000000")[6:]
	start(tag+"-1", "sleep 301 & : >"+ready+"; wait")
	other := start(tag+"x-1", "exec sleep 302")
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(ready); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the script did not start")
		}
	}

	var finder OrphanFinder
	find := func(tag string) []sdk.Orphan {
		t.Helper()
		found, err := finder.Orphans(t.Context(), sdk.OrphanQuery{Tag: tag})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	// While a process executes its program, its environment can't be read.
	found := find(tag)
	for deadline := time.Now().Add(20 * time.Second); len(found) < 2 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		found = find(tag)
	}
	if len(found) != 2 || found[0].Tag != tag+"-1" || !strings.HasPrefix(found[0].Text, "process ") {
		t.Fatalf("found %+v", found)
	}
	if one := find(tag + "-1"); len(one) != 2 {
		t.Errorf("by the whole tag: %+v", one)
	}
	if err := finder.RemoveOrphans(t.Context(), sdk.OrphanQuery{}, found); err != nil {
		t.Fatal(err)
	}
	if left := find(tag); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
	if err := finder.RemoveOrphans(t.Context(), sdk.OrphanQuery{}, found); err != nil {
		t.Errorf("processes that have ended: %v", err)
	}
	if !other.Alive() {
		t.Error("another tag's process was ended")
	}
	if err := finder.RemoveOrphans(t.Context(), sdk.OrphanQuery{}, []sdk.Orphan{{ID: `{"pid": 1}`}}); err == nil {
		t.Error("a process without a creation time was accepted")
	}
}
