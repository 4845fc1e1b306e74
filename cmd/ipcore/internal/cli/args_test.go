package cli

import (
	"slices"
	"testing"

	"github.com/spf13/cobra"

	"github.com/ipcore/ipcore/cmd/ipcore/internal/traits"
)

func TestNormalize(t *testing.T) {
	c := NewCommand(&cobra.Command{Use: "x"})
	c.Traits = traits.Table{"HeartMonitor.period": "ping", "IPController.reuse_files": "reuse"}
	c.Flags().Int("ping", 0, "")
	c.Flags().Bool("reuse", false, "")
	c.Flags().String("cluster-id", "", "")
	c.Flags().IntP("n", "n", 0, "")
	for _, test := range []struct{ in, out, ignored []string }{
		{in: []string{"--ping=250", "--reuse"}, out: []string{"--ping=250", "--reuse"}},
		{in: []string{"-ping", "250", "-reuse"}, out: []string{"--ping=250", "--reuse"}},
		{in: []string{"-ping=250", "-n4"}, out: []string{"--ping=250", "-n4"}},
		{in: []string{"-n", "4", "--n=5"}, out: []string{"--n=4", "--n=5"}},
		{in: []string{"--cluster-id", "", "--ping", "1"}, out: []string{"--cluster-id=", "--ping=1"}},
		{in: []string{"--HeartMonitor.period=250"}, out: []string{"--ping=250"}},
		{in: []string{"--HeartMonitor.period", "250", "--n=1"}, out: []string{"--ping=250", "--n=1"}},
		{in: []string{"--IPController.reuse_files=True"}, out: []string{"--reuse=True"}},
		{in: []string{"--InteractiveShell.colors=nocolor", "--A.b", "c", "--n=1"}, out: []string{"--n=1"}, ignored: []string{"InteractiveShell.colors", "A.b"}},
		{in: []string{"a", "-", "--", "-ping", "--A.b=c"}, out: []string{"a", "-", "--", "-ping", "--A.b=c"}},
		{in: []string{"--unknown", "x"}, out: []string{"--unknown", "x"}},
	} {
		out, ignored, err := c.normalize(test.in)
		if err != nil || !slices.Equal(out, test.out) || !slices.Equal(ignored, test.ignored) {
			t.Errorf("%q: got %q, ignored %q, %v; want %q, ignored %q", test.in, out, ignored, err, test.out, test.ignored)
		}
	}
	c.Traits = nil
	if _, _, err := c.normalize([]string{"--A.b=c"}); err == nil {
		t.Error("a trait was accepted by a command without traits")
	}
}

func TestSeconds(t *testing.T) {
	for text, want := range map[string]string{"60": "1m0s", "0.5": "500ms", "2m": "2m0s", "1e3": "16m40s"} {
		var s Seconds
		if err := s.Set(text); err != nil || s.String() != want {
			t.Errorf("%q: got %s, %v; want %s", text, s.String(), err, want)
		}
	}
	for _, text := range []string{"", "x", "-1", "NaN", "Inf"} {
		var s Seconds
		if err := s.Set(text); err == nil {
			t.Errorf("%q was accepted as %s", text, s.String())
		}
	}
}
