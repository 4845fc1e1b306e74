package ssh

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ipcore/ipcore/sdk"
)

// The forms that upstream documents, in the order in which they were written; the
// number asked for is an upper bound.
func TestPlaces(t *testing.T) {
	const engines = `{"z": 2, "me@b:2222": [3, ["--a", "x y"]], "c": {"n": 1, "user": "you", "port": 23, "ssh_args": ["-v"]}, "d": {}, "[::1]:24": 1, "::2": 1, "none": 0}`
	for _, c := range []struct {
		n    int
		want string
	}{
		{0, "z=2 me@b:2222=3 you@c:23=1 d=1 [::1]:24=1 ::2=1"},
		{4, "z=2 me@b:2222=2"},
		{1, "z=1"},
		{100, "z=2 me@b:2222=3 you@c:23=1 d=1 [::1]:24=1 ::2=1"},
	} {
		o, err := readOptions(sdk.StartRequest{Options: []byte(`{"ssh_args": ["-4"], "engine_args": ["--all"], "engines": ` + engines + `}`)})
		if err != nil {
			t.Fatal(err)
		}
		n := &c.n
		if c.n == 0 {
			n = nil
		}
		places, err := o.places(n)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range places {
			got = append(got, fmt.Sprintf("%s=%d", p.target.name(), p.n))
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("n=%d: %s\nwant %s", c.n, s, c.want)
		}
		if c.n != 0 {
			continue
		}
		// What belongs to one host stays there.
		for i, want := range []string{"-4 --all -T z", "-4 --a x y -p 2222 -T me@b", "-v --all -p 23 -T you@c", "-4 --all -T d", "-4 --all -p 24 -T ::1"} {
			words := strings.Fields(want)
			args := strings.Join(places[i].target.args(), " ")
			for _, w := range []string{words[0], strings.Join(words[len(words)-2:], " ")} {
				if !strings.Contains(args+" ", w+" ") {
					t.Errorf("%s: ssh %s lacks %s", places[i].key, args, w)
				}
			}
			if strings.Contains(args, "-p ") != strings.Contains(want, "-p ") || strings.Join(places[i].target.EngineArgs, " ") != strings.Join(words[1:len(words)-2-2*strings.Count(want, "-p ")], " ") {
				t.Errorf("%s: ssh %s, engine arguments %q", places[i].key, args, places[i].target.EngineArgs)
			}
		}
	}
}

func TestBadHosts(t *testing.T) {
	for _, bad := range []string{
		`{}`, `{"engines": {}}`, `{"engines": {"a": 0}}`, `{"engines": [1]}`, `{"engines": {"a": "two"}}`, `{"engines": {"a": [1]}}`,
		`{"engines": {"a": -1}}`, `{"engines": {"a": {"colour": 1}}}`, `{"engines": {"-oProxyCommand=x": 1}}`, `{"engines": {"a b": 1}}`,
		`{"engines": {"a:99999": 1}}`, `{"engines": {"-x@a": 1}}`, `{"engines": {"u;id@a": 1}}`, `{"hostname": "-v"}`, `{"hostname": "a", "user": "$(id)"}`,
		`{"hostname": "a", "port": -1}`, `{"hostname": "a", "poll_seconds": -1}`, `{"hostname": "a", "environment": {"A-B": "1"}}`, `{"hostname": "a", "connect_timeout": 1e9}`,
	} {
		o, err := readOptions(sdk.StartRequest{Options: []byte(bad)})
		if err == nil {
			_, err = o.places(nil)
		}
		if !errors.Is(err, sdk.ErrBadOption) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	o, err := readOptions(sdk.StartRequest{Options: []byte(`{"location": "me@there:2022"}`)})
	if err != nil {
		t.Fatal(err)
	}
	if places, err := o.places(new(3)); err != nil || len(places) != 1 || places[0].n != 3 || places[0].target.name() != "me@there:2022" {
		t.Errorf("location: %+v, %v", places, err)
	}
}
