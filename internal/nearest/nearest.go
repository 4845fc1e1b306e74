// Package nearest finds the name that a misspelled name was meant to be.
package nearest

import "strings"

// Match returns the candidate that name is most likely a misspelling of, or "".
func Match(name string, candidates []string) string {
	best, bestDistance := "", max(2, len(name)/3)+1
	for _, c := range candidates {
		d := distance(name, c)
		if len(name) > 2 && strings.HasPrefix(c, name) {
			d = 1
		}
		if d < bestDistance {
			best, bestDistance = c, d
		}
	}
	if bestDistance >= len(name) {
		return ""
	}
	return best
}

// distance returns the number of single-letter edits (insert, delete, replace, swap
// of neighbors) that turn a into b.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
