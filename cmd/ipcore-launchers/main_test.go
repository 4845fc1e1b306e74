package main

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestAllLaunchers checks that each program under plugins is in the table.
func TestAllLaunchers(t *testing.T) {
	folders, err := filepath.Glob(filepath.Join("..", "..", "plugins", "*", prefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, folder := range folders {
		want = append(want, strings.TrimPrefix(filepath.Base(folder), prefix))
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(launchers)); !slices.Equal(got, want) {
		t.Errorf("the table has %v, plugins has %v", got, want)
	}
}

func TestCalled(t *testing.T) {
	for name, want := range map[string]bool{
		"/usr/libexec/ipcore/ipcore-launcher-slurm": true,
		"ipcore-launcher-local":                     true,
		"Ipcore-Launcher-Local.EXE":                 true,
		"ipcore-launchers":                          false,
		"ipcore-launcher-mine":                      false,
		"slurm":                                     false,
	} {
		if got := called([]string{name}) != nil; got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if called(nil) != nil {
		t.Error("no arguments at all stand for a launcher")
	}
}
