package archtest

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// module is this repository's module path.
const module = "github.com/ipcore/ipcore"

// file is one Go source file. Files are read whatever their build constraints are, so
// that the rules apply to every platform.
type file struct {
	path    string // slash-separated, from the repository's root
	ast     *ast.File
	imports []string
	lines   int
}

// folder returns the file's folder, which is its package's path within the module.
func (f file) folder() string { return path.Dir(f.path) }

// test reports whether the file is compiled only for tests.
func (f file) test() bool { return strings.HasSuffix(f.path, "_test.go") }

// walk calls f with the path of each file of the repository, as it is opened and from
// the repository's root with slashes. Built files and test data are left out.
func walk(t *testing.T, f func(name, rel string) error) {
	t.Helper()
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch d.Name() {
			case ".git", "bin", "build", "testdata", "vendor", "__pycache__":
				return fs.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		return f(name, filepath.ToSlash(rel))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sources reads every Go file of the repository.
func sources(t *testing.T) []file {
	t.Helper()
	var files []file
	walk(t, func(name, rel string) error {
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		f := file{path: rel, ast: parsed, lines: bytes.Count(text, []byte("\n"))}
		for _, i := range parsed.Imports {
			f.imports = append(f.imports, strings.Trim(i.Path.Value, `"`))
		}
		files = append(files, f)
		return nil
	})
	if len(files) < 10 {
		t.Fatalf("only %d Go files found", len(files))
	}
	return files
}

// within reports whether p is one of the given folders or import paths, or is below
// one. An element * of a pattern matches any one element.
func within(p string, patterns ...string) bool {
	parts := strings.Split(p, "/")
	for _, pattern := range patterns {
		want := strings.Split(pattern, "/")
		if len(parts) < len(want) {
			continue
		}
		same := true
		for i, w := range want {
			if w != "*" && w != parts[i] {
				same = false
				break
			}
		}
		if same {
			return true
		}
	}
	return false
}
