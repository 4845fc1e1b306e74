package batch

import (
	"slices"
	"testing"
)

func TestColumns(t *testing.T) {
	c := Columns{{Name: "State", Width: 8}, {Name: "Name", Width: 6}}
	if got := c.Format(); got != "State:8,Name:6" {
		t.Errorf("format %q", got)
	}
	for line, want := range map[string][]string{
		"RUNNING a b   \n": {"RUNNING", "a b"}, "PENDING": {"PENDING", ""}, "": {"", ""}, "12345678abcdefgh": {"12345678", "abcdef"},
	} {
		if got := c.Cut(line); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

func TestWaitStatus(t *testing.T) {
	for status, want := range map[int]struct {
		code   int
		signal string
	}{0: {0, ""}, 768: {3, ""}, 9: {-1, "SIGKILL"}, 0x8b: {-1, "SIGSEGV"}} {
		if code, signal := WaitStatus(status); code != want.code || signal != want.signal {
			t.Errorf("%#x: %d, %q", status, code, signal)
		}
	}
}
