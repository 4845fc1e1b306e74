package ssh

import (
	"regexp"
	"strings"

	"github.com/ipcore/ipcore/sdk"
)

var nameForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// goodName reports whether a shell can export a variable of this name.
func goodName(name string) bool { return nameForm.MatchString(name) }

// quoter writes words for the shell of a script. The profile's folder here, where
// a path in a word begins with it, becomes the folder there.
type quoter struct {
	profile string // here; "" replaces nothing
}

// word writes one word. Whatever it is, the shell reads it back as it was, but for
// the profile's folder.
func (q quoter) word(w string) string {
	var b strings.Builder
	done := 0 // how much of w is written
	for at := 0; q.profile != ""; {
		i := strings.Index(w[at:], q.profile)
		if i < 0 {
			break
		}
		i += at
		at = i + len(q.profile)
		if i > 0 && pathByte(w[i-1]) || at < len(w) && w[at] != '/' && pathByte(w[at]) {
			continue // part of another name
		}
		if i > done {
			b.WriteString(sdk.ShellQuote(w[done:i]))
		}
		b.WriteString(`"$ipc_profile"`)
		done = at
	}
	if done > 0 && done == len(w) {
		return b.String()
	}
	return b.String() + sdk.ShellQuote(w[done:])
}

// pathByte reports whether a character next to a path belongs to it.
func pathByte(c byte) bool {
	return c == '/' || c == '.' || c == '-' || c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// words writes the words of a command.
func (q quoter) words(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = q.word(w)
	}
	return strings.Join(out, " ")
}
