package archtest

import (
	"go/ast"
	"strings"
	"testing"
)

// TestPackageComments checks that every package says in one file what it is.
func TestPackageComments(t *testing.T) {
	type facts struct {
		name     string
		comments []string // files that have one
	}
	packages := map[string]*facts{}
	for _, f := range sources(t) {
		if f.test() || ast.IsGenerated(f.ast) {
			continue
		}
		p := packages[f.folder()]
		if p == nil {
			p = &facts{name: f.ast.Name.Name}
			packages[f.folder()] = p
		}
		if f.ast.Doc == nil {
			continue
		}
		p.comments = append(p.comments, f.path)
		begin := "Package " + p.name + " "
		if p.name == "main" {
			begin = "Command "
		}
		if text := f.ast.Doc.Text(); !strings.HasPrefix(text, begin) {
			t.Errorf("%s: the package comment begins %.30q, not %q", f.path, text, begin)
		}
	}
	for folder, p := range packages {
		if len(p.comments) != 1 {
			t.Errorf("package %s has %d package comments, not 1: %q", folder, len(p.comments), p.comments)
		}
	}
}

// A file longer than longLines is reported; longer than tooLong, it fails.
const (
	longLines = 600
	tooLong   = 800
)

func TestFileSizes(t *testing.T) {
	for _, f := range sources(t) {
		switch {
		case ast.IsGenerated(f.ast):
		case f.lines > tooLong:
			t.Errorf("%s has %d lines: it is two nouns", f.path, f.lines)
		case f.lines > longLines:
			t.Logf("%s has %d lines: is it two nouns?", f.path, f.lines)
		}
	}
}
