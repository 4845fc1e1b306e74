package ssh

import (
	"os/exec"
	"strings"
	"testing"
)

func TestQuoter(t *testing.T) {
	q := quoter{"/home/me/p"}
	for word, want := range map[string]string{
		"/home/me/p":                      `"$ipc_profile"''`,
		"--profile-dir=/home/me/p":        `--profile-dir="$ipc_profile"`,
		"/home/me/p/log/x y":              `"$ipc_profile"'/log/x y'`,
		"/home/me/private":                "/home/me/private",
		"/home/me/p-2/x":                  "/home/me/p-2/x",
		"/x/home/me/p":                    "/x/home/me/p",
		"/home/me/p:/home/me/p/lib;$HOME": `"$ipc_profile":"$ipc_profile"'/lib;$HOME'`,
		"it's":                            `'it'\''s'`,
	} {
		if got := strings.TrimSuffix(q.word(word), "''"); got != strings.TrimSuffix(want, "''") {
			t.Errorf("%s: %s, want %s", word, got, want)
		}
	}
	if got := (quoter{}).word(""); got != "''" {
		t.Errorf("the empty word: %s", got)
	}
}

// Whatever the words are, a real shell reads them back as they were, the profile's
// folder apart.
func FuzzQuoter(f *testing.F) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		f.Skip("no sh")
	}
	for _, s := range []string{"", "a", "it's", "'", `\`, `"`, "$x", "$ipc_profile", "`id`", "a\nb", "\n", "~", "*", "A=b", "-n", "--", "#", "é\xff", "\r\t", "!!", "{a,b}", "$'x'", ";", "&", "|", "/P", "/P/x", "=/P", "/Px", "x/P", "/P/P", ":/P:/P"} {
		f.Add(s, "/P "+s)
	}
	const profile, there = "/P", "/home/it's $HOME/p"
	f.Fuzz(func(t *testing.T, a, b string) {
		if strings.ContainsRune(a+b, 0) || len(a)+len(b) > 60000 {
			t.Skip()
		}
		q := quoter{profile}
		script := "ipc_profile=" + (quoter{}).word(there) + "; v=" + q.word(a) + "; set -- " + q.words([]string{a, b}) + `; printf '%s\001%s\001%s\001%s\001' "$#" "$v" "$1" "$2"`
		out, err := exec.Command(sh, "-c", script).CombinedOutput()
		a, b = moved(a, profile, there), moved(b, profile, there)
		if want := "2\x01" + a + "\x01" + a + "\x01" + b + "\x01"; err != nil || string(out) != want {
			t.Errorf("came back as %q, want %q (%v)", out, want, err)
		}
	})
}

// moved replaces a folder where it stands as a path, or the beginning of one.
func moved(w, from, to string) string {
	var b strings.Builder
	for i := 0; i < len(w); {
		end := i + len(from)
		if strings.HasPrefix(w[i:], from) {
			if (i == 0 || !pathByte(w[i-1])) && (end == len(w) || w[end] == '/' || !pathByte(w[end])) {
				b.WriteString(to)
			} else {
				b.WriteString(from)
			}
			i = end
			continue
		}
		b.WriteByte(w[i])
		i++
	}
	return b.String()
}
