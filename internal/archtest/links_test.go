package archtest

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	markdownLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading      = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	notInAnchor  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	fencedCode   = regexp.MustCompile("(?ms)^```.*?^```")
)

// TestLinks checks that the target of every relative link of a Markdown file exists:
// the file, and the heading if the link names one.
func TestLinks(t *testing.T) {
	pages := markdown(t)
	root := filepath.Join("..", "..")
	for page, text := range pages {
		for _, m := range markdownLink.FindAllStringSubmatch(fencedCode.ReplaceAllString(text, ""), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			target, anchor, _ := strings.Cut(m[1], "#")
			file := page
			if target != "" {
				file = path.Join(path.Dir(page), target)
			}
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(file))); err != nil {
				t.Errorf("%s links to %s, which does not exist", page, m[1])
				continue
			}
			if anchor != "" && !anchors(pages[file])[anchor] {
				t.Errorf("%s links to %s, but %s has no such heading", page, m[1], file)
			}
		}
	}
}

// markdown returns the texts of the repository's Markdown files by path.
func markdown(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	walk(t, func(name, rel string) error {
		if !strings.HasSuffix(name, ".md") {
			return nil
		}
		text, err := os.ReadFile(name)
		pages[rel] = string(text)
		return err
	})
	return pages
}

// anchors returns the anchors of a page's headings, in GitHub's form.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		title := notInAnchor.ReplaceAllString(strings.ToLower(m[1]), "")
		all[strings.ReplaceAll(title, " ", "-")] = true
	}
	return all
}
