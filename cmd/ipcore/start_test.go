package main

import (
	"slices"
	"testing"

	"github.com/ipcore/ipcore/sdk"
)

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

func TestQuoteThenSplit(t *testing.T) {
	for word, want := range map[string]string{"a/b-c.d": "a/b-c.d", "": "''", "a b": "'a b'", "it's": `'it'\''s'`} {
		if got := sdk.ShellQuote(word); got != want {
			t.Errorf("ShellQuote(%q) = %s, want %s", word, got, want)
		}
		if back, err := splitWords(sdk.ShellQuote(word)); err != nil || len(back) != 1 || back[0] != word {
			t.Errorf("ShellQuote(%q) reads as %q, %v", word, back, err)
		}
	}
}
