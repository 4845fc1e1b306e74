package db

import (
	"math"
	"strings"
	"unicode/utf8"
)

// matchGlob reports whether the whole text matches a pattern as in Python's fnmatch:
// * is any text, ? any character, [seq] and [!seq] one character in or not in a set;
// there are no escapes. It takes at most len(pattern) × len(text) steps.
func matchGlob(pattern, text string) bool {
	star, retry := -1, 0 // position of the last *, and where in the text it ends
	p, t := 0, 0
	for t < len(text) {
		if p < len(pattern) && pattern[p] == '*' {
			star, retry = p, t
			p++
			continue
		}
		if p < len(pattern) {
			c, size := utf8.DecodeRuneInString(text[t:])
			if next, ok := matchOne(pattern[p:], c); ok {
				p += next
				t += size
				continue
			}
		}
		if star < 0 {
			return false
		}
		_, size := utf8.DecodeRuneInString(text[retry:])
		retry += size
		p, t = star+1, retry
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// matchOne reports whether a character matches the beginning of a pattern, and returns
// the length of that beginning.
func matchOne(pattern string, c rune) (next int, ok bool) {
	switch pattern[0] {
	case '?':
		return 1, true
	case '[':
		if end := setEnd(pattern); end > 0 {
			return end + 1, inSet(pattern[1:end], c)
		}
	}
	r, size := utf8.DecodeRuneInString(pattern)
	return size, r == c
}

// setEnd returns the position of the ] of a set, or 0 if the [ stands for itself.
func setEnd(pattern string) int {
	i := 1
	if i < len(pattern) && pattern[i] == '!' {
		i++
	}
	if i < len(pattern) && pattern[i] == ']' {
		i++
	}
	if i > len(pattern) {
		return 0
	}
	if end := strings.IndexByte(pattern[i:], ']'); end >= 0 {
		return i + end
	}
	return 0
}

// inSet reports whether c is in a set, given without its brackets: characters and
// ranges a-z.
func inSet(set string, c rune) bool {
	not := strings.HasPrefix(set, "!")
	if not {
		set = set[1:]
	}
	runes := []rune(set)
	found := false
	for i := 0; i < len(runes); i++ {
		low, high := runes[i], runes[i]
		if i+2 < len(runes) && runes[i+1] == '-' {
			high = runes[i+2]
			i += 2
		}
		if low <= c && c <= high {
			found = true
		}
	}
	return found != not
}

// floorMod returns v % d as in Python: the result has the sign of d.
func floorMod(v, d float64) float64 {
	m := math.Mod(v, d)
	if m != 0 && (m < 0) != (d < 0) {
		m += d
	}
	return m
}
