package ssh

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ipcore/ipcore/sdk"
)

// jobVariable is in the environment of everything that one start starts.
const jobVariable = "IPCORE_SSH_JOB"

// maxName is the longest name of a log file in bytes: what is added for the file of
// the exit code must fit into 255.
const maxName = 240

// shownVariables are those whose values Script shows; others may be secret.
var shownVariables = []string{"IPP_PROFILE_DIR", "IPP_CLUSTER_ID", sdk.EnvTag, jobVariable}

// infoVariable has the content of the engine file, for engines that read it there.
const infoVariable = "IPP_CONNECTION_INFO"

// plan is a checked request, with all that is needed to carry it out.
type plan struct {
	kind    sdk.Kind
	proxy   bool
	request sdk.StartRequest
	job     string
	options options
	places  []place
	quote   quoter
	content string // of the engine file; "" sends none
	show    bool   // the script is to be shown, not run
}

func newPlan(kind sdk.Kind, proxy bool, r sdk.StartRequest) (*plan, error) {
	o, err := readOptions(r)
	if err != nil {
		return nil, err
	}
	p := &plan{kind: kind, proxy: proxy, request: r, options: o}
	n := r.N
	if kind != sdk.Engine || proxy {
		n = new(1)
	}
	if p.places, err = o.places(n); err != nil {
		return nil, err
	}
	for name := range r.Env {
		if !goodName(name) {
			return nil, fmt.Errorf("%w: environment variable %q can't be set by a shell", sdk.ErrBadOption, name)
		}
	}
	for _, text := range append(slices.Concat(r.Command, slices.Collect(maps.Values(r.Env))), r.WorkDir, r.ProfileDir, r.ClusterID, r.ID) {
		if strings.ContainsRune(text, 0) {
			return nil, fmt.Errorf("%w: %.60q has a NUL byte", sdk.ErrBadOption, text)
		}
	}
	if dir := filepath.Clean(r.ProfileDir); filepath.IsAbs(dir) && dir != "/" {
		p.quote.profile = dir
	}
	if name := p.log(0); !filepath.IsLocal(name) || filepath.Base(name) != name || strings.Contains(name, "\n") || len(name) > maxName {
		return nil, fmt.Errorf("%w: %.80q is not a valid log file name; the cluster id and the id must not contain slashes", sdk.ErrBadOption, name)
	}
	return p, p.readFile()
}

// readFile reads the controller's engine file, the only connection file that an engine
// needs.
func (p *plan) readFile() error {
	if p.kind == sdk.Controller || p.request.EngineFile == "" {
		return nil
	}
	text, err := os.ReadFile(p.request.EngineFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // they may have it in their environment
	}
	if err != nil {
		return fmt.Errorf("read the controller's engine file: %w", err)
	}
	p.content = strings.TrimRight(string(text), "\n")
	return nil
}

// remoteProfile returns the profile's folder on the host: the same path as here, relative
// to the home folder if it is below the home folder here.
func (p *plan) remoteProfile(t *target) string {
	if t.Profile != "" {
		return t.Profile
	}
	dir := filepath.Clean(p.request.ProfileDir)
	if home, err := os.UserHomeDir(); err == nil {
		if rel, err := filepath.Rel(home, dir); err == nil && filepath.IsLocal(rel) {
			return rel
		}
	}
	return dir
}

// log is the name of a process's log file.
func (p *plan) log(i int) string {
	switch {
	case p.kind != sdk.Controller:
		return fmt.Sprintf("ipengine-%s-%s-%d.log", p.request.ClusterID, p.request.ID, i)
	case p.request.ClusterID == "":
		return fmt.Sprintf("ipcontroller-%d.log", time.Now().Unix())
	}
	return fmt.Sprintf("ipcontroller-%s-%d.log", p.request.ClusterID, time.Now().Unix())
}

// isIpcore reports whether a command is ipcore's controller or engine.
func isIpcore(c []string) bool {
	return len(c) > 1 && strings.HasPrefix(filepath.Base(c[0]), "ipcore") && (c[1] == "engine" || c[1] == "controller")
}

// command returns the command of one process on a host. ipcore is the path to which the
// program was copied there, or "".
func (p *plan) command(t *target, ipcore string) []string {
	if ipcore == "" {
		ipcore = t.Ipcore
	}
	if p.proxy {
		return p.proxyCommand()
	}
	c := slices.Clone(p.request.Command)
	if p.kind != sdk.Controller && len(t.EngineCmd) > 0 {
		c = slices.Clone(t.EngineCmd)
	}
	switch {
	case isIpcore(c):
		if ipcore != "" {
			c[0] = ipcore
		}
		if t.Python != "" && p.kind != sdk.Controller {
			c = append(c, "--python="+t.Python)
		}
	case t.Python != "" && len(c) > 2 && c[1] == "-m":
		c[0] = t.Python
	}
	if p.kind == sdk.Controller {
		return append(c, t.ControllerArgs...)
	}
	return append(c, t.EngineArgs...)
}

// proxied returns how many engines the ipcluster on the host is asked for.
func (p *plan) proxied() int {
	if p.request.N == nil {
		return 1
	}
	return *p.request.N
}

// proxyCommand returns the command that starts the engines on the host.
func (p *plan) proxyCommand() []string {
	c := slices.Clone(p.options.ClusterCmd)
	if len(c) == 0 {
		c = []string{"ipcluster"}
	}
	c = append(c, "engines", "-n", strconv.Itoa(p.proxied()), "--profile-dir="+p.request.ProfileDir, "--cluster-id="+p.remoteID())
	return append(c, p.options.ClusterArgs...)
}

// remoteID returns the cluster id on an engine's host. A remote ipcluster overwrites the
// cluster file of its id, so it gets another id, with the engine file of that name, unless
// no engine file is sent.
func (p *plan) remoteID() string {
	if !p.proxy || !p.sends() {
		return p.request.ClusterID
	}
	return strings.TrimPrefix(p.request.Tag+"-"+p.request.ID, "-")
}

// sends reports whether the one host of a controller or proxy gets the engine file.
func (p *plan) sends() bool { return p.content != "" && *p.places[0].target.SendFiles }

// script returns the script that starts a place's processes, the first of which has the
// index from.
func (p *plan) script(at *place, from int, ipcore, content string) string {
	t, q := &at.target, p.quote
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("ipc_profile=%s", sdk.ShellQuote(p.remoteProfile(t)))
	b.WriteString(startScript)
	line("where")
	line(`say profile "$ipc_profile"`)
	line(`mkdir -p "$ipc_profile/log" "$ipc_profile/security" || die "$ipc_profile cannot be made"`)
	env := maps.Clone(p.request.Env)
	if env == nil {
		env = make(map[string]string)
	}
	maps.Copy(env, t.Env)
	env[jobVariable] = p.job
	if _, ok := env[infoVariable]; ok && at.target.Tunnel && content != "" {
		env[infoVariable] = content
	}
	if p.show {
		for name := range env {
			if !slices.Contains(shownVariables, name) {
				env[name] = "(not shown)"
			}
		}
	}
	line("environ() {")
	for _, name := range slices.Sorted(maps.Keys(env)) {
		line("export %s=%s", name, q.word(env[name]))
	}
	line("}")
	if dir := p.request.WorkDir; dir != "" {
		line("cd %s || die %s", q.word(dir), sdk.ShellQuote(dir+": no such folder"))
	}
	command := p.command(t, ipcore)
	line("program %s", q.word(command[0]))
	if p.kind == sdk.Controller && !p.request.KeepConnectionFiles {
		for _, name := range p.files() {
			line(`rm -f "$ipc_profile/security/"%s`, sdk.ShellQuote(name))
		}
	}
	if content != "" && *t.SendFiles {
		put := `put "$ipc_profile/security/"%[1]s`
		if t.Tunnel { // where folders are shared it is the controller's own
			put = `[ -e "$ipc_profile/security/"%[1]s ] || ` + put
		}
		line("content=%s", sdk.ShellQuote(content))
		name := filepath.Base(p.request.EngineFile)
		if p.proxy {
			name = connectionFiles(p.remoteID())[1]
			line(`say "made $ipc_profile/security/"%s`, sdk.ShellQuote("cluster-"+p.remoteID()+".json"))
		}
		line(put, sdk.ShellQuote(name))
	}
	logs := `"$ipc_profile/log/"`
	if dir := filepath.Clean(p.request.LogDir); q.profile != "" && strings.HasPrefix(dir, q.profile+"/") {
		logs = q.word(dir + "/")
	}
	words := sdk.ShellQuote(q.words(command))
	for i := range at.n {
		line("launch %d %s%s %s", from+i, logs, sdk.ShellQuote(p.log(from+i)), words)
	}
	return b.String()
}

// files are the names of a controller's connection files.
func (p *plan) files() []string {
	if p.request.ClientFile != "" && p.request.EngineFile != "" {
		return []string{filepath.Base(p.request.ClientFile), filepath.Base(p.request.EngineFile)}
	}
	return connectionFiles(p.request.ClusterID)
}

// connectionFiles are the names of the client's and the engine file of a cluster id.
func connectionFiles(id string) []string {
	infix := ""
	if id != "" {
		infix = "-" + id
	}
	return []string{"ipcontroller" + infix + "-client.json", "ipcontroller" + infix + "-engine.json"}
}

// prepare copies the files that a host's processes need to the host, and returns the path
// of ipcore there if it was copied.
func (p *plan) prepare(ctx context.Context, t *target) (ipcore string, err error) {
	if t.Copy {
		if ipcore, err = p.copyBinary(ctx, t); err != nil {
			return "", err
		}
	}
	for _, pair := range t.ToSend {
		if err := t.send(ctx, pair[0], pair[1]); err != nil {
			return "", err
		}
	}
	return ipcore, nil
}
