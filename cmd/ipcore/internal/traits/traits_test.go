package traits

import (
	"os"
	"slices"
	"testing"
)

func TestNames(t *testing.T) {
	table := Table{"IPController.reuse_files": "reuse"}
	for name, want := range map[string]string{
		"IPController.reuse_files": "reuse", "HubFactory.reuse_files": "reuse", "IPControllerApp.reuse_files": "reuse",
		"EngineFactory.reuse_files": "", "reuse_files": "", "": "",
	} {
		if got := table.Flag(name); got != want {
			t.Errorf("the flag of %q is %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string][2]bool{
		"HeartMonitor.period": {true, false}, "A.b.c": {true, false}, "slurm.queue": {false, true},
		"ping": {}, ".a": {}, "A.": {}, "a-b.c": {false, true},
	} {
		if got := [2]bool{IsTrait(name), IsLauncherOption(name)}; got != want {
			t.Errorf("%q: trait and launcher's option are %v, want %v", name, got, want)
		}
	}
	for class, want := range map[string]bool{"SlurmLauncher": true, "slurm": true, "HeartMonitor": false} {
		if got := IsLauncherClass(class); got != want {
			t.Errorf("%q is a launcher's class: %v, want %v", class, got, want)
		}
	}
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	paths := Files(dir, "x_config")
	if settings, skipped, err := ReadFile(paths[0]); settings != nil || skipped != nil || err != nil {
		t.Errorf("a file that does not exist: %v, %v, %v", settings, skipped, err)
	}
	for i, text := range []string{
		"c = get_config()\r\n# a comment\r\nimport os\r\nc.A.list = [\r\n  1,\r\n]  # more\r\nc.A.text = 'x'; c.A.other = 1\r\nc.A.flag = True\r\n",
		`{"version": 1, "A": {"text": "x", "n": 300}, "slurm": {"queue": "debug"}}`,
	} {
		if err := os.WriteFile(paths[i], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	texts := func(settings []Setting) (all []string) {
		for _, s := range settings {
			all = append(all, s.Name+"="+s.Text())
		}
		return all
	}
	settings, skipped, err := ReadFile(paths[0])
	if err != nil || !slices.Equal(texts(settings), []string{"A.list=[1]", "A.flag=true"}) || !slices.Equal(skipped, []int{3, 7}) {
		t.Errorf("the Python file: %v, lines %v skipped, %v", texts(settings), skipped, err)
	}
	settings, _, err = ReadFile(paths[1])
	if err != nil || !slices.Equal(texts(settings), []string{"A.n=300", "A.text=x", "slurm.queue=debug"}) {
		t.Errorf("the JSON file: %v, %v", texts(settings), err)
	}
	if _, ok := settings[0].ForLauncher(paths[1]); ok {
		t.Error("A.n belongs to a launcher")
	}
	if s, ok := settings[2].ForLauncher(paths[1]); !ok || s.Class != "slurm" || s.Trait != "queue" || string(s.Value) != `"debug"` || s.Source != paths[1] {
		t.Errorf("slurm.queue is %+v", s)
	}
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]string{"abc": "abc", "b'abc'": "abc", `b"a'c"`: "a'c", "": ""} {
		var b Bytes
		if err := b.Set(text); err != nil || string(b) != want {
			t.Errorf("%q is %q, %v; want %q", text, b, err, want)
		}
	}
	var b Bytes
	if err := b.Set("b'abc"); err == nil {
		t.Errorf("an open literal was accepted as %q", b)
	}
}
