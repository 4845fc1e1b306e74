package ssh

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

// copyLimit bounds carrying one file to or from a host.
const copyLimit = 10 * time.Minute

// scp carries one file. The name there has no character that any version of scp
// or any shell would change.
func (t *target) scp(ctx context.Context, from, to string) error {
	ctx, cancel := context.WithTimeout(ctx, copyLimit)
	defer cancel()
	words := append(append([]string(nil), t.SCP...), t.SCPArgs...)
	words = append(words, t.common()...)
	if t.Port != 0 {
		words = append(words, "-P", strconv.Itoa(t.Port))
	}
	words = append(words, "-q", "-p", from, to)
	said, done, err := scratch()
	if err != nil {
		return err
	}
	defer done()
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env = process.Environ(map[string]string{"SSH_ASKPASS_REQUIRE": "never"})
	cmd.Stderr, cmd.WaitDelay = said, time.Second
	if err := cmd.Run(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return t.unreachable(errors.Join(ctx.Err(), err), saidIn(said))
	}
	return nil
}

// scpHost returns the host as scp expects it.
func (t *target) scpHost() string {
	host := t.Hostname
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if t.User != "" {
		host = t.User + "@" + host
	}
	return host
}

// send carries a file there: under another name first, then at once.
func (t *target) send(ctx context.Context, here, there string) error {
	if strings.ContainsRune(there, 0) || there == "" {
		return fmt.Errorf("%w: to_send: %q is not a valid file name", sdk.ErrBadOption, there)
	}
	if _, err := os.Stat(here); err != nil {
		return fmt.Errorf("%w: to_send: %w", sdk.ErrBadOption, err)
	}
	name := ".ipcore-" + strings.ToLower(rand.Text()[:12])
	if err := t.scp(ctx, here, t.scpHost()+":"+name); err != nil {
		return fmt.Errorf("send %s: %w", here, err)
	}
	to := sdk.ShellQuote(there)
	_, err := t.call(ctx, fmt.Sprintf("f=%s\ncase $f in */*) mkdir -p -- \"${f%%/*}\" || die \"$f: its folder cannot be made\" ;; esac\nmv -f %s -- \"$f\" || die \"$f cannot be written\"\n", to, name))
	return err
}

// fetchAll carries the files of to_fetch here.
func (t *target) fetchAll(ctx context.Context) error {
	for _, pair := range t.ToFetch {
		if err := t.fetch(ctx, pair[0], pair[1]); err != nil {
			return err
		}
	}
	return nil
}

// fetch carries a file here. What it holds may be secret.
func (t *target) fetch(ctx context.Context, there, here string) error {
	name := ".ipcore-" + strings.ToLower(rand.Text()[:12])
	_, err := t.call(ctx, fmt.Sprintf("umask 077\nf=%s\n[ -f \"$f\" ] || die \"$f: no such file\"\ncp -- \"$f\" %s || die \"$f cannot be read\"\n", sdk.ShellQuote(there), name))
	if err != nil {
		return fmt.Errorf("to_fetch: %w", err)
	}
	part := here + ".part"
	err = t.scp(ctx, t.scpHost()+":"+name, part)
	if _, rmErr := t.call(context.WithoutCancel(ctx), "rm -f "+name+"\n"); err == nil {
		err = rmErr
	}
	if err == nil {
		err = os.Chmod(part, 0o600)
	}
	if err == nil {
		err = os.Rename(part, here)
	}
	if err != nil {
		_ = os.Remove(part) // it may not be there
		return fmt.Errorf("fetch %s: %w", there, err)
	}
	return nil
}

// systems are Go's names of what uname says.
var systems = map[string]string{
	"Linux": "linux", "Darwin": "darwin", "FreeBSD": "freebsd",
	"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64", "riscv64": "riscv64", "ppc64le": "ppc64le", "s390x": "s390x",
}

// copyBinary copies this ipcore to the host if it is not there, and returns its path there.
// It is named by its content, so that hosts that share a home folder share it and a
// newer one never replaces one that runs.
func (p *plan) copyBinary(ctx context.Context, t *target) (string, error) {
	path := p.request.Command[0]
	if !p.proxy && !isIpcore(p.request.Command) {
		return "", fmt.Errorf("%w: copy_binary: %s is not ipcore", sdk.ErrBadOption, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("%w: copy_binary: %w", sdk.ErrBadOption, err)
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return "", fmt.Errorf("copy_binary: %w", err)
	}
	sum := hex.EncodeToString(hash.Sum(nil))
	name := ".cache/ipcore/ipcore-" + sum[:16]
	lines, err := t.call(ctx, "say system $(uname -s) $(uname -m)\n[ -x "+name+" ] && say have\nsay path \"$home/"+name+"\"\n")
	if err != nil {
		return "", err
	}
	have, there := false, ""
	for _, line := range lines {
		switch words := strings.Split(line, " "); {
		case words[0] == "system" && len(words) == 3:
			if systems[words[1]] != runtime.GOOS || systems[words[2]] != runtime.GOARCH {
				return "", fmt.Errorf("%w: copy_binary: this machine's ipcore is for %s/%s, and %s is %s %s; build one for it and name it with remote_ipcore",
					sdk.ErrBadOption, runtime.GOOS, runtime.GOARCH, t.name(), words[1], words[2])
			}
		case words[0] == "have":
			have = true
		case words[0] == "path":
			there = strings.TrimPrefix(line, "path ")
		}
	}
	if have {
		return there, nil
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	limited, cancel := context.WithTimeout(ctx, copyLimit)
	defer cancel()
	part := name + "." + strings.ToLower(rand.Text()[:12])
	_, said, err := t.run(limited, `exec /bin/sh -c 'umask 077; mkdir -p .cache/ipcore && cat >`+part+`'`, f)
	if err != nil {
		return "", fmt.Errorf("copy_binary: %w", t.unreachable(errors.Join(limited.Err(), err), said))
	}
	_, err = t.call(ctx, `f=`+part+`
if command -v sha256sum >/dev/null 2>&1; then s=$(sha256sum <$f); elif command -v shasum >/dev/null 2>&1; then s=$(shasum -a 256 <$f); else s=$(openssl dgst -sha256 -r <$f); fi
[ "${s%% *}" = `+sum+` ] || { rm -f $f; die "the copy of ipcore is damaged"; }
chmod 700 $f && mv -f $f `+name+` || die "`+name+` cannot be written"
`)
	if err != nil {
		return "", fmt.Errorf("copy_binary: %w", err)
	}
	return there, nil
}

// controller is the launcher of a controller, which has files to fetch.
type controller struct{ *Launcher }

var _ sdk.ConnectionInfoer = controller{}

// ConnectionInfo waits until the controller has written its connection files and
// answers them.
func (c controller) ConnectionInfo(ctx context.Context) (sdk.ConnectionInfo, error) {
	l := c.Launcher
	m := l.machines[0]
	names := (&plan{request: sdk.StartRequest{ClusterID: l.state.ClusterID}}).files()
	if l.plan != nil {
		names = l.plan.files()
	}
	dir := m.profile + "/security/"
	client, engine := sdk.ShellQuote(dir+names[0]), sdk.ShellQuote(dir+names[1])
	script := pollScript + fmt.Sprintf("if [ -s %s ] && [ -s %s ]; then\nsay client\ntail_of %s\nsay engine\ntail_of %s\nfi\n", client, engine, client, engine)
	for {
		found, err := m.look(ctx, m.members)
		if err != nil {
			return sdk.ConnectionInfo{}, err
		}
		if s := found[m.members[0].index]; !s.runs {
			l.mu.Lock()
			l.end(m.members[0], s.exit)
			l.mu.Unlock()
			return sdk.ConnectionInfo{}, fmt.Errorf("%w: the controller on %s ended before it wrote its connection files: %s", sdk.ErrProcessState, m.target.name(), lastLine(s.exit.Output))
		}
		lines, err := m.target.call(ctx, script)
		if err != nil {
			return sdk.ConnectionInfo{}, err
		}
		files := make(map[string]json.RawMessage)
		r := reading{lines}
		for {
			words, text, ok := r.next()
			if !ok {
				break
			}
			if json.Valid([]byte(text)) {
				files[words[0]] = json.RawMessage(text)
			}
		}
		if files["client"] != nil && files["engine"] != nil {
			info := sdk.ConnectionInfo{Client: files["client"], Engine: files["engine"]}
			if m.target.Tunnel && l.plan != nil {
				if info, err = l.openThere(ctx, m, info); err != nil {
					return info, err
				}
			}
			return info, m.target.fetchAll(ctx)
		}
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
			return sdk.ConnectionInfo{}, fmt.Errorf("the controller on %s has not written %s yet: %w", m.target.name(), filepath.Base(dir+names[0]), ctx.Err())
		}
	}
}
