package template

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

var vars = map[string]any{
	"n": 8, "queue": "debug", "empty": "", "tasks": []any{1.0, "two"}, "map": map[string]any{"k": "v"}, "half": 0.5, "odd": 7,
}

func TestRender(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "",
		"no field\n":                         "no field\n",
		"{n}":                                "8",
		"{n//4} {n/4} {n%3}":                 "2 2 2",
		"{ n * 2 + 1 }":                      "17",
		"{-n/2}":                             "-4",
		"{(n+4)/(2+1)}":                      "4",
		"{n*half}":                           "4.0",
		"{n/0.5}":                            "16.0",
		"{queue.upper()}":                    "DEBUG",
		"{queue!r} {n!s}":                    `"debug" 8`,
		"{queue!r:>10}":                      `   "debug"`,
		"{n:04d}|{n:<4}|{n:+d}":              "0008|8   |+8",
		"{queue:>8}|{queue:^9}":              "   debug|  debug  ",
		"{half:.2f} {n:.1e}":                 "0.50 8.0e+00",
		"{n*1000:,}":                         "8,000",
		"{{n}} {{{n}}}":                      "{n} {8}",
		"${{PBS_ARRAYID}}":                   "${PBS_ARRAYID}",
		"{'big' if n > 4 else 'small'}":      "big",
		"{queue if empty == '' else empty}":  "debug",
		"{queue if n != 8 else 'eight'}":     "eight",
		"{tasks[1]} {map['k']} {queue[1:3]}": "two v eb",
		"{'{}'} {\"}\"} {'a:b'} {'!'}":       "{} } a:b !",
		"{', '.join([str(i) for i in range(n/4)])}": "0, 1",
		"\xff\x00bytes {n}\r\n":                     "\xff\x00bytes 8\r\n",
	} {
		got, warnings, err := Render(text, vars)
		if err != nil || got != want || len(warnings) > 0 {
			t.Errorf("%q: %q, %v, %v; want %q", text, got, warnings, err, want)
		}
	}
}

func TestRoundedDown(t *testing.T) {
	got, warnings, err := Render("a\n#PBS -l nodes={odd/4}:ppn=4", vars)
	if err != nil || got != "a\n#PBS -l nodes=1:ppn=4" {
		t.Errorf("%q, %v", got, err)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "line 2: {odd/4}: 7/4 is not a whole number") {
		t.Errorf("warned %q", warnings)
	}
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"a\nb {que}":                     `template line 2: {que}: there is no variable "que"; the variables are empty, half`,
		"{":                              "line 1: \"{\" without \"}\"",
		"x }":                            "line 1: \"}\" without \"{\"",
		"{n":                             "without",
		"{}":                             "empty",
		"{n+}":                           "{n+}: ",
		"{n/0}":                          "division by zero",
		"{n!x}":                          "conversion",
		"{n!}":                           "conversion",
		"{n:zz}":                         "format \"zz\"",
		"{n:99999}":                      "more than",
		"{queue:d}":                      "is not valid for a string",
		"{queue:+}":                      "needs a number",
		"{open('/etc')}":                 "no variable \"open\"",
		"{[x for x in range(10000000)]}": "too many steps",
		"{'x' * 5000000}":                "longer than",
	} {
		_, _, err := Render(text, vars)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want something with %q", text, err, want)
		}
	}
}

func FuzzRender(f *testing.F) {
	for _, seed := range []string{"{n/4}", "{{x}}", "{queue!r:>10}", "{'}'}", "{n:,.3f}", "{[i/2 for i in range(n) if i/3]}", "{tasks[0:1]}", "{not n/2}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		out, _, err := Render(text, vars)
		if err == nil && !strings.ContainsAny(text, "{}") && out != text {
			t.Errorf("%q became %q", text, out)
		}
	})
}

// The templates of IPython Parallel, as its launchers 7.1 and 9.1 render them.
func TestUpstream(t *testing.T) {
	text, err := os.ReadFile("testdata/upstream.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Version, Kind, Template, Script string
		Context                         map[string]any
	}
	if err := json.Unmarshal(text, &all); err != nil || len(all) < 20 {
		t.Fatal(len(all), err)
	}
	for _, c := range all {
		got, warnings, err := Render(c.Template, c.Context)
		if err != nil || got != c.Script || len(warnings) > 0 {
			t.Errorf("%s of %s:\n%s\nwant\n%s\n%v, %v", c.Kind, c.Version, got, c.Script, warnings, err)
		}
	}
}
