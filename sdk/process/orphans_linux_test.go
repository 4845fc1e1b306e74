package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipcore/ipcore/sdk"
)

// What carries a tag is found, with the children that inherit it, and removed;
// another tag is left alone.
func TestOrphans(t *testing.T) {
	ready := filepath.Join(t.TempDir(), "ready")
	begin := func(tag, script string) *Process {
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
	begin(tag+"-1", "sleep 301 & : >"+ready+"; wait")
	other := begin(tag+"x-1", "exec sleep 302")
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(ready); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the script does not run")
		}
	}

	var s OrphanFinder
	look := func(tag string) []sdk.Orphan {
		t.Helper()
		found, err := s.Orphans(t.Context(), sdk.OrphanQuery{Tag: tag})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	// A process that is just running its program has no environment to look at.
	found := look(tag)
	for deadline := time.Now().Add(20 * time.Second); len(found) < 2 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		found = look(tag)
	}
	if len(found) != 2 || found[0].Tag != tag+"-1" || !strings.HasPrefix(found[0].Text, "process ") {
		t.Fatalf("found %+v", found)
	}
	if one := look(tag + "-1"); len(one) != 2 {
		t.Errorf("by the whole tag: %+v", one)
	}
	if err := s.RemoveOrphans(t.Context(), sdk.OrphanQuery{}, found); err != nil {
		t.Fatal(err)
	}
	if left := look(tag); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
	if err := s.RemoveOrphans(t.Context(), sdk.OrphanQuery{}, found); err != nil {
		t.Errorf("what has ended: %v", err)
	}
	if !other.Alive() {
		t.Error("another tag's process was ended")
	}
	if err := s.RemoveOrphans(t.Context(), sdk.OrphanQuery{}, []sdk.Orphan{{ID: `{"pid": 1}`}}); err == nil {
		t.Error("a process without a start time was taken")
	}
}
