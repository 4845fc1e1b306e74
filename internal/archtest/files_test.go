package archtest

import (
	"go/ast"
	"strings"
	"testing"
)

// TestPackageComments checks that every package has a package comment, in one file.
func TestPackageComments(t *testing.T) {
	type facts struct {
		name     string
		comments []string // files with a package comment
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

// maxFileLines and maxTestFileLines are the limits for the lines of one file. A longer
// file usually holds more than one thing.
const (
	maxFileLines     = 600
	maxTestFileLines = 800
)

func TestFileSizes(t *testing.T) {
	for _, f := range sources(t) {
		limit := maxFileLines
		if f.test() {
			limit = maxTestFileLines
		}
		if f.lines > limit && !ast.IsGenerated(f.ast) {
			t.Errorf("%s has %d lines, more than %d: split it by subject", f.path, f.lines, limit)
		}
	}
}

// maxPackageLines is the limit for the lines of one package, without its tests and
// generated files.
const maxPackageLines = 2500

// largePackages are exceptions to maxPackageLines, each with its limit and the reason.
var largePackages = map[string]struct {
	limit  int
	reason string
}{
	"cmd/ipcore":          {3500, "it is the commands: a file or two for each"},
	"sdk/batch":           {3400, "the launcher, its jobs and their poller share unexported state"},
	"core/launch/cluster": {3400, "most of it is methods of Cluster and of its workloads, which share unexported state"},
	"core/controller/hub": {3100, "most of it is methods of the Hub, whose goroutine alone uses its state"},
	"sdk/conformance":     {3000, "it has a file for each group of checks, which share the fixture"},
	"plugins/ssh":         {2900, "it is one launcher; plugins have one package each"},
	"core/sockets":        {2900, "sockets, connections and their queues share unexported state"},
}

// TestPackageSizes checks the sizes of packages.
func TestPackageSizes(t *testing.T) {
	lines := map[string]int{}
	for _, f := range sources(t) {
		if !f.test() && !ast.IsGenerated(f.ast) {
			lines[f.folder()] += f.lines
		}
	}
	for folder, n := range lines {
		limit := maxPackageLines
		if e, ok := largePackages[folder]; ok {
			limit = e.limit
		}
		if n > limit {
			t.Errorf("package %s has %d lines, more than %d: divide it", folder, n, limit)
		}
	}
	for folder, e := range largePackages {
		if n := lines[folder]; n <= maxPackageLines {
			t.Errorf("package %s has %d lines: remove it from largePackages (%s)", folder, n, e.reason)
		}
	}
}
