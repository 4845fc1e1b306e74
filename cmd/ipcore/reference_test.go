package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ipcore/ipcore/internal/testbuild"
)

// TestReference checks that docs/reference is what "make reference" writes.
func TestReference(t *testing.T) {
	launchers, written := t.TempDir(), t.TempDir()
	names, err := filepath.Glob("../../plugins/*/ipcore-launcher-*")
	if err != nil || len(names) == 0 {
		t.Fatalf("no launchers: %v", err)
	}
	for _, name := range names { // one executable is all of them, by its links' names
		if err := os.Link(filepath.Join(bin, "links", "ipcore-launchers"+testbuild.Suffix()), filepath.Join(launchers, filepath.Base(name)+testbuild.Suffix())); err != nil {
			t.Fatal(err)
		}
	}
	write := exec.Command(filepath.Join(bin, "ipcore"), "reference", "--markdown", written, "--launchers", launchers)
	if out, err := write.CombinedOutput(); err != nil {
		t.Fatalf("write the reference: %v\n%s", err, out)
	}
	want, got := readTree(t, written), readTree(t, filepath.Join("..", "..", "docs", "reference"))
	for name, text := range want {
		switch {
		case got[name] == "":
			t.Errorf("docs/reference/%s does not exist; run make reference", name)
		case got[name] != text:
			t.Errorf("docs/reference/%s is out of date; run make reference", name)
		}
	}
	for name := range got {
		if want[name] == "" {
			t.Errorf("docs/reference/%s describes nothing that exists; run make reference", name)
		}
	}
}

// readTree returns the texts of the files in a folder and its folders, by path.
func readTree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	root := os.DirFS(dir)
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(root, name)
		files[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestManPages checks that every command has a man page with its options.
func TestManPages(t *testing.T) {
	dir := t.TempDir()
	write := exec.Command(filepath.Join(bin, "ipcore"), "reference", "--man", dir)
	if out, err := write.CombinedOutput(); err != nil {
		t.Fatalf("write the man pages: %v\n%s", err, out)
	}
	pages := readTree(t, dir)
	if len(pages) != len(commands) { // the hidden one has none, and ipcore itself has one
		t.Errorf("%d man pages of %d commands", len(pages), len(commands)-1)
	}
	for _, text := range []string{".SH NAME\nipcore\\-start \\- start a controller and engines\n", ".TP\n.B \\-n, \\-\\-n N\n", ".BR ipcore (1)\n"} {
		if !strings.Contains(pages["ipcore-start.1"], text) {
			t.Errorf("ipcore-start.1 lacks %q", text)
		}
	}
	if _, err := exec.LookPath("groff"); err != nil {
		return
	}
	for name, text := range pages {
		format := exec.Command("groff", "-man", "-Tutf8", "-ww", "-z")
		format.Stdin = strings.NewReader(text)
		if out, err := format.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
