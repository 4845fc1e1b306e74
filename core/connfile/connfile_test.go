package connfile

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// TestReferenceFiles checks that files that Python controllers wrote are read, and
// written again with the same bytes.
func TestReferenceFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		var v any
		if strings.Contains(file, "client") {
			v, err = ReadClient(file)
		} else {
			v, err = ReadEngine(file)
		}
		if err != nil {
			t.Error(err)
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "copy.json")
		for range 2 { // the second time over the existing file
			if err := Write(path, v); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s:\n got %s\nwant %s", file, got, want)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
			t.Errorf("mode %v", info.Mode())
		}
		if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
			t.Errorf("files left behind: %v", left)
		}
	}
}

func TestNames(t *testing.T) {
	for id, want := range map[string][2]string{
		"":  {"ipcontroller-client.json", "ipcontroller-engine.json"},
		"x": {"ipcontroller-x-client.json", "ipcontroller-x-engine.json"},
	} {
		client, engine := Names(id)
		if client != want[0] || engine != want[1] {
			t.Errorf("%q: %s, %s", id, client, engine)
		}
	}
}

func TestNewKey(t *testing.T) {
	key := NewKey()
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{24}$`).MatchString(key) || key == NewKey() {
		t.Errorf("key %q", key)
	}
}

// TestBadFiles checks the error after one field of a good file was changed.
func TestBadFiles(t *testing.T) {
	good, err := os.ReadFile("testdata/9.1-default-engine.json")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseEngine(good); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ field, value, want string }{
		{"mux", "", `field "mux" is missing`},
		{"key", "null", `field "key" is null`},
		{"mux", `"46883"`, `field "mux": expected int, found a JSON string`},
		{"mux", "0", `field "mux": 0 is not a port`},
		{"mux", "65536", `field "mux": 65536 is not a port`},
		{"broadcast", "[]", `field "broadcast" is empty`},
		{"broadcast", "[1, -5]", `field "broadcast": -5 is not a port`},
		{"broadcast", "7", `field "broadcast": expected []int, found a JSON number`},
		{"interface", `"127.0.0.1"`, `field "interface": "127.0.0.1" is not of the form`},
		{"curve_serverkey", `"short"`, `field "curve_serverkey": has 5 characters`},
	} {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(good, &fields); err != nil {
			t.Fatal(err)
		}
		if test.value == "" {
			delete(fields, test.field)
		} else {
			fields[test.field] = json.RawMessage(test.value)
		}
		text, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "engine.json")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadEngine(path); err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s=%s: %v, want %s", test.field, test.value, err, test.want)
		}
	}
	for name, text := range map[string]string{
		"not a JSON dictionary": `[1]`,
		"before ipyparallel":    `{"exec_key": "k", "url": "tcp://*:1", "ssh": "", "location": "l"}`,
	} {
		if _, err := ParseEngine([]byte(text)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := ReadClient(filepath.Join(t.TempDir(), "none.json")); !os.IsNotExist(unwrapAll(err)) {
		t.Errorf("a missing file: %v", err)
	}
}

func unwrapAll(err error) error {
	for {
		inner, ok := err.(interface{ Unwrap() error })
		if !ok || os.IsNotExist(err) {
			return err
		}
		err = inner.Unwrap()
	}
}

func TestUnknownAndOptionalFields(t *testing.T) {
	good, err := os.ReadFile("testdata/9.1-default-client.json")
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(good, &fields); err != nil {
		t.Fatal(err)
	}
	fields["from_the_future"] = []int{1}
	for _, optional := range []string{"ssh", "location", "curve_serverkey"} {
		delete(fields, optional)
	}
	text, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseClient(text)
	if err != nil || c.Mux == 0 {
		t.Errorf("%+v, %v", c, err)
	}
	fields["task_scheme"], fields["task"] = "none", 0
	if text, err = json.Marshal(fields); err != nil {
		t.Fatal(err)
	}
	if _, err := ParseClient(text); err != nil {
		t.Errorf("without a task channel: %v", err)
	}
}

func TestURL(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ iface, location, want string }{
		{"tcp://127.0.0.1", "elsewhere", "tcp://127.0.0.1:5"},
		{"tcp://192.0.2.7", host, "tcp://192.0.2.7:5"},
		{"tcp://0.0.0.0", "", "tcp://127.0.0.1:5"},
		{"tcp://*", "", "tcp://127.0.0.1:5"},
		{"tcp://*", host, "tcp://127.0.0.1:5"},
		{"tcp://0.0.0.0", "127.0.0.1", "tcp://127.0.0.1:5"},
		{"tcp://0.0.0.0", "192.0.2.7", "tcp://192.0.2.7:5"},
		{"tcp://*", "name.invalid", "tcp://name.invalid:5"},
		{"tcp://fe80::1", "", "tcp://[fe80::1]:5"},
		{"ipc:///tmp/x", "", "ipc:///tmp/x:5"},
	} {
		c := Client{Interface: test.iface, Location: test.location}
		if got := c.URL(5); got != test.want {
			t.Errorf("%s at %q: %s, want %s", test.iface, test.location, got, test.want)
		}
	}
}
