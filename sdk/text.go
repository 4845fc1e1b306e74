package sdk

import "strings"

// validText returns s with everything that is not UTF-8 replaced, as a protobuf
// string has to be.
func validText(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// LastBytes returns at most the last n bytes of s as valid UTF-8. A text that is
// cut begins at the beginning of a line if it has a line end.
func LastBytes(s string, n int) string {
	if len(s) > n {
		s = s[len(s)-n:]
		if _, rest, ok := strings.Cut(s, "\n"); ok {
			s = rest
		}
	}
	return validText(s)
}
