package registry

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ipcore/ipcore/sdk"
)

func TestPinnedLaunchers(t *testing.T) {
	h, s := newSearchDirs(t)
	path := describer(t, filepath.Join(h.first, "ipcore-launcher-x"), "1")
	describer(t, filepath.Join(h.first, "ipcore-launcher-y"), "1")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	good := fmt.Sprintf("%x  /elsewhere/ipcore-launcher-x\n", sha256.Sum256(text))
	other := strings.Repeat("0", 64) + " */elsewhere/ipcore-launcher-x\n"
	for pins, want := range map[string]string{
		"": "", good: "", "# pinned\n" + other + good: "",
		other:               "pins another",
		"nonsense\n":        "line 1: must be the output of sha256sum",
		"\n" + good[:64]:    "line 2",
		good[:66] + "x\n":   "not the file name of a launcher",
		good + "\n" + other: "",
	} {
		script(t, filepath.Join(h.profile, pinFile), pins)
		_, err := Find(testContext(t), sdk.Engine, "x", s)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("with %q: %v", pins, err)
		}
	}
	// The pin does not apply to another launcher, and the list has both.
	script(t, filepath.Join(h.profile, pinFile), other)
	all, err := List(testContext(t), s)
	if err != nil || len(all) != 2 || all[0].Err == nil || all[1].Err != nil {
		t.Errorf("list: %+v, %v", all, err)
	}
}

// TestPinIsCheckedAgain replaces a launcher after Find.
func TestPinIsCheckedAgain(t *testing.T) {
	h, s := newSearchDirs(t)
	path := describer(t, filepath.Join(h.first, "ipcore-launcher-x"), "1")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	script(t, filepath.Join(h.profile, pinFile), fmt.Sprintf("%x  x/ipcore-launcher-x\n", sha256.Sum256(text)))
	f, err := Find(testContext(t), sdk.Engine, "x", s)
	if err != nil {
		t.Fatal(err)
	}
	describer(t, path, "2")
	if err := f.Verify(path); err == nil || !strings.Contains(err.Error(), "pins another") {
		t.Errorf("accepted after it was replaced: %v", err)
	}
}
