package batch

import (
	"regexp"
	"strings"

	"github.com/ipcore/ipcore/sdk"
)

// Quote writes words as a POSIX shell reads them.
func Quote(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = sdk.ShellQuote(w)
	}
	return strings.Join(quoted, " ")
}

// matches tells whether e finds something; nil finds nothing.
func matches(e *regexp.Regexp, text string) bool { return e != nil && e.MatchString(text) }
