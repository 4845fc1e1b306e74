package main

import (
	"slices"
	"testing"

	"github.com/ipcore/ipcore/core/launch/registry"
	"github.com/ipcore/ipcore/sdk"
)

func TestNormalise(t *testing.T) {
	c := &command{name: "x", flags: newFlags("x"), traits: map[string]string{"HeartMonitor.period": "ping", "IPController.reuse_files": "reuse"}}
	c.flags.Int("ping", 0, "")
	c.flags.Bool("reuse", false, "")
	c.flags.String("cluster-id", "", "")
	c.flags.IntP("n", "n", 0, "")
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
		out, ignored, err := normalise(c, test.in)
		if err != nil || !slices.Equal(out, test.out) || !slices.Equal(ignored, test.ignored) {
			t.Errorf("%q: got %q, ignored %q, %v; want %q, ignored %q", test.in, out, ignored, err, test.out, test.ignored)
		}
	}
	c.traits = nil
	if _, _, err := normalise(c, []string{"--A.b=c"}); err == nil {
		t.Error("a trait was accepted by a command without traits")
	}
}

func TestSplitWords(t *testing.T) {
	for line, want := range map[string][]string{
		"":                                 nil,
		"python3 -m ipyparallel.engine":    {"python3", "-m", "ipyparallel.engine"},
		`  a  'b c'  "d 'e'" f\ g h'i'"j"`: {"a", "b c", "d 'e'", "f g", "hij"},
		`"a\"b" '' "\n"`:                   {`a"b`, "", `\n`},
	} {
		if got, err := splitWords(line); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %q, %v; want %q", line, got, err, want)
		}
	}
	for _, line := range []string{`a "b`, `'`, `a\`} {
		if got, err := splitWords(line); err == nil {
			t.Errorf("%q: got %q, want an error", line, got)
		}
	}
}

func TestQuotes(t *testing.T) {
	for word, want := range map[string]string{"a/b-c.d": "a/b-c.d", "": "''", "a b": "'a b'", "it's": `'it'\''s'`} {
		if got := sdk.ShellQuote(word); got != want {
			t.Errorf("ShellQuote(%q) = %s, want %s", word, got, want)
		}
		if back, err := splitWords(sdk.ShellQuote(word)); err != nil || len(back) != 1 || back[0] != word {
			t.Errorf("ShellQuote(%q) reads as %q, %v", word, back, err)
		}
	}
	if got := pythonQuote(`C:\a "b"`); got != `"C:\\a \"b\""` {
		t.Errorf("pythonQuote: %s", got)
	}
}

func TestNearest(t *testing.T) {
	names := []string{"start", "stop", "status", "list", "launchers", "controller"}
	for name, want := range map[string]string{"srart": "start", "stat": "start", "lsit": "list", "launch": "launchers", "controler": "controller", "xyzzy": ""} {
		if got := registry.Nearest(name, names); got != want {
			t.Errorf("registry.Nearest(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestSeconds(t *testing.T) {
	for text, want := range map[string]string{"60": "1m0s", "0.5": "500ms", "2m": "2m0s", "1e3": "16m40s"} {
		var s seconds
		if err := s.Set(text); err != nil || s.String() != want {
			t.Errorf("%q: got %s, %v; want %s", text, s.String(), err, want)
		}
	}
	for _, text := range []string{"", "x", "-1", "NaN", "Inf"} {
		var s seconds
		if err := s.Set(text); err == nil {
			t.Errorf("%q was accepted as %s", text, s.String())
		}
	}
}

func TestLevels(t *testing.T) {
	for text, want := range map[string]string{"10": "debug", "20": "info", "30": "warn", "40": "error", "50": "error", "0": "trace", "DEBUG": "debug", "WARNING": "warn", "info": "info", "25": "info"} {
		v := verbosity{level: text}
		if got, err := v.resolve(); err != nil || got.String() != want {
			t.Errorf("%q: got %v, %v; want %s", text, got, err, want)
		}
	}
	v := verbosity{level: "loud"}
	if _, err := v.resolve(); exitCode(err) != exitUsage {
		t.Errorf("an unknown level: %v", err)
	}
}
