package conformance

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/ipcore/ipcore/sdk/process"
)

var secretChecks = []Check{{
	Name: "secret-arguments", Linux: true, run: checkSecretArguments,
	Want: "the variables of a request are on no command line, which every user can read",
}, {
	Name: "secret-state", run: checkSecretState,
	Want: "the state does not contain the variables of a request",
}, {
	Name: "secret-files", run: checkSecretFiles,
	Want: "no file that other users can read contains the variables of a request",
}, {
	Name: "secret-job", run: checkSecretJob,
	Want: "the batch system does not show the variables of a request with its jobs",
}}

func checkSecretArguments(b *fixture) {
	b.start(2, sleeper)
	needle := []byte(b.secret)
	entries, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		b.fatalf("%v", err)
	}
	for _, name := range entries {
		if text, err := os.ReadFile(name); err == nil && bytes.Contains(text, needle) {
			b.errorf("the secret is on the command line of pid %s: %.80q", filepath.Base(filepath.Dir(name)), text)
		}
	}
	b.stop()
}

func checkSecretState(b *fixture) {
	state := b.start(2, sleeper)
	if bytes.Contains(state, []byte(b.secret)) {
		b.errorf("the secret is in the state of Start")
	}
	if state, err := b.ToDict(b.ctx, "w"); err != nil || bytes.Contains(state, []byte(b.secret)) {
		b.errorf("the secret is in the state of ToDict, or ToDict failed: %v", err)
	}
	b.stop()
}

func checkSecretFiles(b *fixture) {
	b.start(2, sleeper)
	err := filepath.WalkDir(b.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		i, err := d.Info()
		if err != nil || i.Mode().Perm()&0o077 == 0 || i.Size() > 1<<20 {
			return err
		}
		text, err := os.ReadFile(path) //nolint:gosec // the folder belongs to the check
		if err == nil && bytes.Contains(text, []byte(b.secret)) {
			b.errorf("the secret is in %s, whose mode is %v", path, i.Mode())
		}
		return err
	})
	b.noError("read the files", err)
	b.stop()
}

func checkSecretJob(b *fixture) {
	if b.Info.Conformance == nil || len(b.Info.Conformance.ShowJobs) == 0 {
		b.skip("the launcher names no command that shows its jobs")
	}
	command := b.Info.Conformance.ShowJobs
	b.start(2, sleeper)
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = process.Environ(nil)
	text, err := cmd.Output()
	if err != nil {
		b.errorf("%v: %v", command, err)
	}
	if i := bytes.Index(text, []byte(b.secret)); i >= 0 {
		b.errorf("%s shows the secret: %.100q", command[0], text[max(0, i-60):])
	}
	b.stop()
}
