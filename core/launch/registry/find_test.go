package registry

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ipcore/ipcore/sdk"
)

// describing is a launcher that can only describe itself.
const describing = `#!/bin/sh
echo '{"name":"NAME","version":"VERSION","kinds":["engine"],"protocol":[1],"new":"key"}'
`

// script writes an executable script.
func script(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	// A process that another test starts at the same moment would inherit the file open
	// for writing, and a file that is open for writing can't be executed.
	syscall.ForkLock.RLock()
	err := os.WriteFile(path, []byte(text), 0o700)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// describer writes a launcher that can only describe itself.
func describer(t testing.TB, path, version string) string {
	t.Helper()
	name := strings.TrimPrefix(filepath.Base(path), Prefix)
	return script(t, path, strings.NewReplacer("NAME", name, "VERSION", version).Replace(describing))
}

// searchDirs has a folder for each of the folders of a search.
type searchDirs struct{ first, second, profile, data, libexec, bin string }

func newSearchDirs(t testing.TB) (searchDirs, Search) {
	t.Helper()
	root := t.TempDir()
	h := searchDirs{
		first: filepath.Join(root, "first"), second: filepath.Join(root, "second"),
		profile: filepath.Join(root, "profile"),
		data:    filepath.Join(root, "data"), libexec: filepath.Join(root, "inst", "libexec", "ipcore"),
		bin: filepath.Join(root, "inst", "bin"),
	}
	script(t, filepath.Join(h.bin, "ipcore"), "")
	link := filepath.Join(root, "link")
	if err := os.Symlink(filepath.Join(h.bin, "ipcore"), link); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{
		"IPCORE_LAUNCHER_PATH": h.first + string(filepath.ListSeparator) + h.second,
		"XDG_DATA_HOME":        h.data, "PATH": h.second,
	}
	return h, Search{
		ProfileDir: h.profile,
		Getenv:     func(k string) string { return env[k] },
		Executable: func() (string, error) { return link, nil },
	}
}

// dirs returns the folders that Search.Dirs has to return.
func (h searchDirs) dirs() []string {
	return []string{
		h.first, h.second, filepath.Join(h.profile, "launchers"),
		filepath.Join(h.data, "ipcore", "launchers"), h.libexec, h.bin,
	}
}

func TestDirsInOrder(t *testing.T) {
	h, s := newSearchDirs(t)
	var got []string
	for _, p := range s.Dirs() {
		got = append(got, p.Dir)
	}
	if strings.Join(got, "\n") != strings.Join(h.dirs(), "\n") {
		t.Errorf("got folders\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(h.dirs(), "\n"))
	}
}

func TestFirstDirWins(t *testing.T) {
	h, s := newSearchDirs(t)
	ctx := testContext(t)
	var paths []string
	for i, dir := range h.dirs() {
		paths = append(paths, describer(t, filepath.Join(dir, "ipcore-launcher-mine"), string(rune('0'+i))))
	}
	for i := range paths {
		f, err := Find(ctx, sdk.Engine, "Mine", s)
		if err != nil {
			t.Fatal(err)
		}
		if f.Path != paths[i] || f.Name != "mine" || f.Info.Version != string(rune('0'+i)) {
			t.Errorf("with %d folders left: found %+v", len(paths)-i, f)
		}
		if strings.Join(f.Shadowed, " ") != strings.Join(paths[i+1:], " ") {
			t.Errorf("shadowed: %v", f.Shadowed)
		}
		if err := os.Remove(paths[i]); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Find(ctx, sdk.Engine, "mine", s)
	missing, ok := errors.AsType[*NotFoundError](err)
	if !ok || !errors.Is(err, ErrNotFound) {
		t.Fatalf("got %v", err)
	}
	for _, dir := range h.dirs() {
		if !strings.Contains(missing.Hint(), dir+" (") {
			t.Errorf("the hint does not name %s:\n%s", dir, missing.Hint())
		}
	}
}

func TestNotFoundListsFound(t *testing.T) {
	h, s := newSearchDirs(t)
	describer(t, filepath.Join(h.first, "ipcore-launcher-one"), "1")
	describer(t, filepath.Join(h.bin, "ipcore-launcher-two"), "1")
	_, err := Find(testContext(t), sdk.Engine, "three", s)
	if !errors.Is(err, ErrNotFound) || !strings.HasSuffix(err.Error(), "found: one, two") {
		t.Errorf("got %v", err)
	}
	_, err = Find(testContext(t), sdk.Engine, "tow", s)
	if missing, ok := errors.AsType[*NotFoundError](err); !ok || !strings.HasPrefix(missing.Hint(), "did you mean two?\n") {
		t.Errorf("got %v", err)
	}
}

// TestNoLauncherAtAll checks the hint for users who installed only ipcore.
func TestNoLauncherAtAll(t *testing.T) {
	_, s := newSearchDirs(t)
	_, err := Find(testContext(t), sdk.Engine, "local", s)
	hinted, ok := errors.AsType[interface {
		error
		Hint() string
	}](err)
	if !ok || !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "no launcher was found") {
		t.Fatalf("got %v", err)
	}
	if want := "go install github.com/ipcore/ipcore/plugins/...@latest"; !strings.Contains(hinted.Hint(), want) {
		t.Errorf("hint %q, want %q in it", hinted.Hint(), want)
	}
	if want := "/plugins/...@v0.1.0"; !strings.Contains(installHint("0.1.0"), want) {
		t.Errorf("hint %q, want %q in it", installHint("0.1.0"), want)
	}
}

// TestLinks checks that links to one executable are launchers, each with its own name, and
// that pins apply to the file to which a link points.
func TestLinks(t *testing.T) {
	h, s := newSearchDirs(t)
	bundle := script(t, filepath.Join(h.libexec, "ipcore-launchers"),
		"#!/bin/sh\necho \"{\\\"name\\\":\\\"${0##*ipcore-launcher-}\\\",\\\"version\\\":\\\"1\\\",\\\"kinds\\\":[\\\"engine\\\"],\\\"protocol\\\":[1]}\"\n")
	for _, name := range []string{"one", "two"} {
		if err := os.Symlink("ipcore-launchers", filepath.Join(h.libexec, Prefix+name)); err != nil {
			t.Fatal(err)
		}
	}
	find := func(name string) error {
		f, err := Find(testContext(t), sdk.Engine, name, s)
		if err == nil && (f.Info.Name != name || f.Path != filepath.Join(h.libexec, Prefix+name)) {
			t.Errorf("%s: found %+v", name, f)
		}
		return err
	}
	if err := errors.Join(find("one"), find("two")); err != nil {
		t.Fatal(err)
	}
	script(t, filepath.Join(h.profile, pinFile), sumLine(t, bundle, "ipcore-launcher-one")+strings.Repeat("0", 64)+"  ipcore-launcher-two\n")
	if err := find("one"); err != nil {
		t.Error(err)
	}
	if err := find("two"); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("another sum is pinned: %v", err)
	}
	if err := os.Chmod(bundle, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := find("one"); err == nil || !strings.Contains(err.Error(), "every user can write") {
		t.Errorf("every user can write to the file behind the link: %v", err)
	}
}

// sumLine returns the output of sha256sum for a file, with another name.
func sumLine(t *testing.T, path, name string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x  %s\n", sha256.Sum256(b), name)
}

func TestPathInsteadOfName(t *testing.T) {
	h, s := newSearchDirs(t)
	ctx := testContext(t)
	path := describer(t, filepath.Join(h.data, "any name"), "1")
	script(t, path, strings.ReplaceAll(describing, "NAME", "other"))
	f, err := Find(ctx, sdk.Engine, path, s)
	if err != nil || f.Path != path || f.Info.Name != "other" {
		t.Errorf("found %+v, %v", f, err)
	}
	t.Chdir(h.data)
	if f, err := Find(ctx, sdk.Engine, "./any name", s); err != nil || f.Path != path {
		t.Errorf("found %+v, %v", f, err)
	}
	if _, err := Find(ctx, sdk.Engine, "./nothing", s); !errors.Is(err, ErrNotFound) {
		t.Errorf("a path without a file: %v", err)
	}
	if _, err := Find(ctx, sdk.Engine, h.data+"/", s); err == nil || !strings.Contains(err.Error(), "not an executable file") {
		t.Errorf("a folder: %v", err)
	}
	if _, err := Find(ctx, sdk.Engine, "a b", s); err == nil {
		t.Error("a name with a blank was accepted")
	}
}

func TestKindNotOffered(t *testing.T) {
	h, s := newSearchDirs(t)
	describer(t, filepath.Join(h.first, "ipcore-launcher-mine"), "1")
	_, err := Find(testContext(t), sdk.Controller, "mine", s)
	if err == nil || !strings.Contains(err.Error(), "it starts: engine") {
		t.Errorf("got %v", err)
	}
}

func TestWritableByOthersRefused(t *testing.T) {
	h, s := newSearchDirs(t)
	ctx := testContext(t)
	path := describer(t, filepath.Join(h.first, "ipcore-launcher-mine"), "1")
	chmod := func(p string, mode os.FileMode) {
		t.Helper()
		if err := os.Chmod(p, mode); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(what string) {
		t.Helper()
		for _, name := range []string{"mine", path} {
			if _, err := Find(ctx, sdk.Engine, name, s); err == nil || !strings.Contains(err.Error(), "every user can write") {
				t.Errorf("%s, found as %s: %v", what, name, err)
			}
		}
	}
	chmod(path, 0o777)
	refused("writable file")
	chmod(path, 0o755)
	chmod(h.first, 0o777)
	refused("writable folder")
	chmod(h.first, 0o755)
	if _, err := Find(ctx, sdk.Engine, "mine", s); err != nil {
		t.Error(err)
	}

	// A link to it in another folder is judged by its target.
	target := describer(t, filepath.Join(h.data, "open", "launcher"), "1")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	if _, err := Find(ctx, sdk.Engine, "mine", s); err != nil {
		t.Error(err)
	}
	chmod(filepath.Dir(target), 0o777)
	refused("link into a writable folder")
}

func TestListReportsErrors(t *testing.T) {
	h, s := newSearchDirs(t)
	describer(t, filepath.Join(h.first, "ipcore-launcher-good"), "2")
	describer(t, filepath.Join(h.bin, "ipcore-launcher-good"), "1")
	script(t, filepath.Join(h.first, "ipcore-launcher-garbage"), "#!/bin/sh\necho hello; echo oh no >&2\n")
	script(t, filepath.Join(h.first, "ipcore-launcher-fails"), "#!/bin/sh\necho the reason >&2; exit 3\n")
	script(t, filepath.Join(h.first, "ipcore-launcher-lost"), "#!/no/such/interpreter\n")
	script(t, filepath.Join(h.first, "ipcore-launcher-UPPER"), "#!/bin/sh\n")
	if err := os.WriteFile(filepath.Join(h.first, "ipcore-launcher-text"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(h.first, "ipcore-launcher-folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	all, err := List(testContext(t), s)
	if err != nil {
		t.Fatal(err)
	}
	want := []struct{ name, problem string }{
		{"fails", "the reason"}, {"garbage", "oh no"}, {"good", ""}, {"lost", "/no/such/interpreter, which does not exist"},
	}
	if len(all) != len(want) {
		t.Fatalf("listed %+v", all)
	}
	for i, w := range want {
		f := all[i]
		if f.Name != w.name || (f.Err == nil) != (w.problem == "") || f.Err != nil && !strings.Contains(f.Err.Error(), w.problem) {
			t.Errorf("%s: %+v: %v", w.name, f, f.Err)
		}
	}
	if good := all[2]; good.Info.Version != "2" || len(good.Shadowed) != 1 {
		t.Errorf("good: %+v", good)
	}
}

func TestDescribeHangs(t *testing.T) {
	t.Parallel() // it takes the whole timeout
	h, s := newSearchDirs(t)
	script(t, filepath.Join(h.first, "ipcore-launcher-slow"), "#!/bin/sh\nsleep 60\n")
	start := time.Now()
	_, err := Find(testContext(t), sdk.Engine, "slow", s)
	if err == nil || !strings.Contains(err.Error(), "no reply within") || time.Since(start) > 2*describeTimeout {
		t.Errorf("after %v: %v", time.Since(start), err)
	}
}

func TestNewerBuildIsDescribedAgain(t *testing.T) {
	h, s := newSearchDirs(t)
	path := filepath.Join(h.first, "ipcore-launcher-mine")
	for _, version := range []string{"1", "22"} {
		describer(t, path, version)
		if f, err := Find(testContext(t), sdk.Engine, "mine", s); err != nil || f.Info.Version != version {
			t.Errorf("version %s: %+v, %v", version, f, err)
		}
	}
}

func BenchmarkFind(b *testing.B) {
	ctx := testContext(b)
	for b.Loop() {
		described.Lock()
		clear(described.byFile)
		described.Unlock()
		if _, err := Find(ctx, sdk.Engine, "local", onlyBin(b)); err != nil {
			b.Fatal(err)
		}
	}
}
