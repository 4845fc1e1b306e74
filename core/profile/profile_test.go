package profile

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestResolve(t *testing.T) {
	home, work := t.TempDir(), t.TempDir()
	t.Chdir(work)
	for _, test := range []struct {
		name                string
		o                   Options
		profileDir, ipython string
		want                string
	}{
		{"default", Options{}, "", "", filepath.Join(home, ".ipython", "profile_default")},
		{"name", Options{Name: "x"}, "", "", filepath.Join(home, ".ipython", "profile_x")},
		{"IPYTHONDIR", Options{}, "", "~/ipy", filepath.Join(home, "ipy", "profile_default")},
		{"option overrides IPYTHONDIR", Options{IPythonDir: "rel"}, "", "~/ipy", filepath.Join(work, "rel", "profile_default")},
		{"IPP_PROFILE_DIR overrides a name", Options{Name: "x"}, "/env", "", "/env"},
		{"directory overrides everything", Options{Dir: "/flag", Name: "x"}, "/env", "", "/flag"},
		{"relative directory", Options{Dir: "d"}, "", "", filepath.Join(work, "d")},
	} {
		t.Setenv("HOME", home)
		t.Setenv("USERPROFILE", home)
		t.Setenv("IPP_PROFILE_DIR", test.profileDir)
		t.Setenv("IPYTHONDIR", test.ipython)
		p, err := Resolve(test.o)
		if err != nil || filepath.ToSlash(p.Dir) != filepath.ToSlash(test.want) {
			t.Errorf("%s: %s, %v; want %s", test.name, p.Dir, err, test.want)
		}
	}
	for _, name := range []string{"a/b", "..", `a\b`} {
		t.Setenv("IPP_PROFILE_DIR", "")
		if p, err := Resolve(Options{Name: name}); err == nil {
			t.Errorf("name %q: %s", name, p.Dir)
		}
	}
}

func TestCreate(t *testing.T) {
	p := Profile{Dir: filepath.Join(t.TempDir(), "ipython", "profile_x")}
	if p.Exists() {
		t.Error("exists before it was created")
	}
	if err := p.Create(); err != nil {
		t.Fatal(err)
	}
	if !p.Exists() || p.Name() != "x" {
		t.Errorf("profile %+v, name %q", p, p.Name())
	}
	if runtime.GOOS == "windows" {
		return
	}
	if err := os.Chmod(p.SecurityDir(), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := p.Create(); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{p.SecurityDir(): 0o700, filepath.Join(p.Dir, "pid"): 0o700} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if info, err := os.Stat(p.LogDir()); err != nil || !info.IsDir() {
		t.Errorf("log: %v", err)
	}
}

func TestList(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"profile_b", "profile_a", "other", "profile_"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "profile_file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	found, err := List(dir)
	if err != nil || len(found) != 2 || found[0].Name() != "a" || found[1].Name() != "b" {
		t.Errorf("%v, %v", found, err)
	}
	if found, err := List(filepath.Join(dir, "none")); err != nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
	if (Profile{Dir: "/x/y"}).Name() != "" {
		t.Error("a directory that is not named profile_<name> has a profile name")
	}
}
