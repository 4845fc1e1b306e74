package pyliteral

import (
	"encoding/json"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"None": "null", "True": "true", " false ": "false", "3": "3", "-1_000": "-1000", "2.50": "2.5", "1e3": "1000", ".5": "0.5", "007": "7",
		"'a'": `"a"`, `b"x"`: `"x"`, `u'ä'`: `"ä"`, `r'\n\''`: `"\\n\\'"`, `'\n\x41\u00e4\101\q'`: `"\nAäA\\q"`, `'a' "b"`: `"ab"`,
		"'''two\nlines'''": `"two\nlines"`, `""`: `""`,
		"[]": "[]", "()": "[]", "(1)": "1", "(1,)": "[1]", "[1, 'a', [True],]": `[1,"a",[true]]`,
		"{}": "{}", "{'h1': 2, 'u@h2:22': (1, ['-x']), 3: {'n': 4},}": `{"3":{"n":4},"h1":2,"u@h2:22":[1,["-x"]]}`,
		"{ # hosts\n  'a': 1,  # one\n}\n": `{"a":1}`, `{"a": [null, "b\/c"]}`: `{"a":[null,"b/c"]}`, "('a'\n 'b')": `"ab"`,
	} {
		v, err := Parse(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got, err := json.Marshal(v); err != nil || string(got) != want {
			t.Errorf("%q reads as %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "f'a'", "'a", "'a\n'", "[1", "[1 2]", "{'a'}", "{'a': 1", "{[1]: 2}", "1 2", "3x", "1+2", "os.environ", "[f(x)]"} {
		if v, err := Parse(text); err == nil {
			t.Errorf("%q reads as %#v", text, v)
		}
	}
	if v, rest, err := Prefix("'a'  # why\nnext"); err != nil || v != "a" || rest != "# why\nnext" {
		t.Errorf("%v, %q, %v", v, rest, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"[1, {'a': (2.5,)}]", `'\x41' r"\""`, "'''a\n'''", "{", "((((", "-"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if v, err := Parse(text); err == nil {
			if _, err := json.Marshal(v); err != nil {
				t.Errorf("%q reads as %#v: %v", text, v, err)
			}
		}
	})
}
