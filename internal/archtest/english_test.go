package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// phrases are expressions that make a reader stop, each with a plain one. They are
// looked for in comments, messages and documents.
var phrases = []struct {
	pattern *regexp.Regexp
	plain   string
}{
	{regexp.MustCompile(`^//\s*\w+(\.\w+)* answers\b`), "returns, replies, responds"},
	{regexp.MustCompile(`^//\s*\w+(\.\w+)* tells\b`), "reports whether, says, describes"},
	{regexp.MustCompile(`\btells? whether\b`), "reports whether"},
	{regexp.MustCompile(`\bmakes? no sense\b`), "is not valid, must be …"},
	{regexp.MustCompile(`\bgo(es)? before (a|an|the|all|any|other)\b`), "takes precedence over, precedes"},
	{regexp.MustCompile(`\b(go|goes|went|gone|going) on\b`), "continue"},
	{regexp.MustCompile(`\bhas gone\b`), "has exited, is gone, no longer exists"},
	{regexp.MustCompile(`\bof the house\b`), "of the repository"},
	{regexp.MustCompile(`\b(its|their|the) room\b`), "package, space, capacity"},
	{regexp.MustCompile(`\b[Bb]eside (the|a|an|it|its|them|each|us|our|another|that|what|who)\b`), "next to, besides, in addition to"},
	{regexp.MustCompile(`\bfor want of\b|\blest\b`), "because there is no …, so that … not"},
	{regexp.MustCompile(`(^|[.:;(] |// |# )Who (?:asks|does|has|is|wants|waits|knows|reads|holds|gets|can|may)\b`), "name the subject: the caller, the peer"},
}

// isNo finds "is no X" and "is none" for "is not an X". "There is no X" and "is no longer"
// are good English.
var (
	isNo     = regexp.MustCompile(`\b(\w+) (?:is|are|was|were|be) (?:no (\w+)|none)\b`)
	isNoGood = map[string]bool{"there": true, "There": true, "may": true, "can": true, "must": true}
	noGood   = map[string]bool{"longer": true, "more": true, "less": true, "other": true, "later": true, "larger": true, "greater": true, "smaller": true}
)

// TestPlainEnglish checks that these phrases do not come back.
func TestPlainEnglish(t *testing.T) {
	for _, text := range texts(t) {
		for _, p := range phrases {
			if m := p.pattern.FindString(text.line); m != "" {
				t.Errorf("%s: %q: say: %s", text.where, strings.TrimSpace(m), p.plain)
			}
		}
		for _, m := range isNo.FindAllStringSubmatch(text.line, -1) {
			if !isNoGood[m[1]] && !noGood[m[2]] {
				t.Errorf("%s: %q: say: is not a …", text.where, m[0])
			}
		}
	}
}

// text is one line of a comment, a message or a document.
type text struct {
	where, line string
}

// texts returns what people read: comments and strings of Go files, and every line
// of documents, Python files, shell scripts and protobuf files.
func texts(t *testing.T) []text {
	t.Helper()
	var all []text
	walk(t, func(name, rel string) error {
		switch filepath.Ext(name) {
		case ".go":
			if strings.HasSuffix(name, ".pb.go") || filepath.Base(name) == "english_test.go" {
				return nil
			}
			found, err := goTexts(name, rel)
			all = append(all, found...)
			return err
		case ".md", ".py", ".sh", ".proto":
			content, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			for i, line := range strings.Split(string(content), "\n") {
				all = append(all, text{rel + ":" + strconv.Itoa(i+1), line})
			}
		}
		return nil
	})
	return all
}

// goTexts returns the lines of a Go file's comments, and its strings.
func goTexts(name, rel string) ([]text, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	var all []text
	add := func(pos token.Pos, content string) {
		first := fset.Position(pos).Line
		for i, line := range strings.Split(content, "\n") {
			all = append(all, text{rel + ":" + strconv.Itoa(first+i), line})
		}
	}
	for _, group := range file.Comments {
		for _, c := range group.List {
			add(c.Pos(), c.Text)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.BasicLit); ok && s.Kind == token.STRING {
			if value, err := strconv.Unquote(s.Value); err == nil {
				add(s.Pos(), value)
			}
		}
		return true
	})
	return all, nil
}
