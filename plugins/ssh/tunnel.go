package ssh

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

// tunnel is a separate ssh process that forwards a controller's ports. It outlives this
// program, as the processes that use it do.
type tunnel struct {
	tunnelState
	work   sync.Mutex // held while ssh is started or ended; comes before mu
	closed bool       // under work
	p      *process.Process

	mu sync.Mutex // of tunnelState
}

type tunnelState struct {
	Process process.State  `json:"process"`
	Log     string         `json:"log"`
	Ports   map[string]int `json:"ports"` // "host:port" of the controller: the port at the other end
	Back    bool           `json:"back"`  // the ports are there and lead here (-R); else here and lead there (-L)
}

// MarshalJSON writes the state from which the tunnel is found again.
func (t *tunnel) MarshalJSON() ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return json.Marshal(t.tunnelState)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (t *tunnel) UnmarshalJSON(text []byte) error { return json.Unmarshal(text, &t.tunnelState) }

// portKeys are the entries of a connection file that are ports, or lists of them.
var portKeys = []string{"registration", "control", "mux", "task", "iopub", "notification", "hb_ping", "hb_pong", "broadcast"}

// endpoints returns the addresses at which the ports of a connection file are reached
// from the controller's machine.
func endpoints(file map[string]any) ([]string, error) {
	where, _ := file["interface"].(string)
	host, ok := strings.CutPrefix(where, "tcp://")
	if !ok {
		return nil, fmt.Errorf("%w: tunnel: a controller at %q can't be reached through one", sdk.ErrBadOption, where)
	}
	if host == "*" || host == "0.0.0.0" || host == "[::]" || host == "::" {
		host = "127.0.0.1"
	}
	var all []string
	for _, port := range ports(file, nil) {
		all = append(all, net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(port)))
	}
	return all, nil
}

// ports returns the ports of a connection file; change, if not nil, replaces each.
func ports(file map[string]any, change func(int) int) []int {
	var all []int
	one := func(v any) any {
		n, ok := v.(json.Number)
		if !ok {
			return v
		}
		port, err := strconv.Atoi(n.String())
		if err != nil {
			return v
		}
		all = append(all, port)
		if change != nil {
			port = change(port)
		}
		return port
	}
	for _, key := range portKeys {
		switch v := file[key].(type) {
		case json.Number:
			file[key] = one(v)
		case []any:
			for i := range v {
				v[i] = one(v[i])
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// connectionFile reads a connection file and keeps numbers as they are.
func connectionFile(text []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var file map[string]any
	if err := d.Decode(&file); err != nil || file == nil {
		return nil, fmt.Errorf("read a connection file: %w", err)
	}
	return file, nil
}

// through returns a connection file for the other end of the tunnel.
func (t *tunnel) through(text []byte, location string) ([]byte, error) {
	file, err := connectionFile(text)
	if err != nil {
		return nil, err
	}
	byPort := make(map[int]int)
	t.mu.Lock()
	defer t.mu.Unlock()
	for endpoint, port := range t.Ports {
		_, there, err := net.SplitHostPort(endpoint)
		if err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(there)
		if err != nil {
			return nil, err
		}
		byPort[n] = port
	}
	ports(file, func(port int) int { return byPort[port] })
	file["interface"], file["location"] = "tcp://127.0.0.1", location
	return json.MarshalIndent(file, "", "  ")
}

var allocated = regexp.MustCompile(`Allocated port (\d+) for remote forward to (\S+)`)

// open starts the tunnel, or starts it again with the ports that it had.
func (t *tunnel) open(ctx context.Context, to *target, tag string) error {
	words := append(append([]string(nil), to.SSH...), to.SSHArgs...)
	words = append(words, "-o", "ControlMaster=no", "-o", "ControlPath=none", "-o", "ExitOnForwardFailure=yes", "-o", "LogLevel=INFO")
	alone := *to
	alone.Share, alone.SSHArgs = new(false), nil
	words = append(words, "-N")
	for endpoint, port := range t.Ports {
		flag := "-L"
		if t.Back {
			flag = "-R"
		}
		words = append(words, flag, fmt.Sprintf("127.0.0.1:%d:%s", port, endpoint))
	}
	words = append(words, alone.args()...)
	begin := int64(0)
	if i, err := os.Stat(t.Log); err == nil {
		begin = i.Size()
	}
	p, err := process.Start(process.Options{
		Command: words, Env: map[string]string{"SSH_ASKPASS_REQUIRE": "never", sdk.EnvTag: tag}, OutputFile: t.Log,
	})
	if err != nil {
		return err
	}
	t.mu.Lock()
	t.p, t.Process = p, p.State()
	t.mu.Unlock()
	if err := t.ready(ctx, to, begin); err != nil {
		killed, cancel := context.WithCancel(context.Background())
		cancel()
		_ = p.Stop(killed, 0) // the first error is the one that matters
		return err
	}
	return nil
}

// ready waits until all ports are open.
func (t *tunnel) ready(ctx context.Context, to *target, begin int64) error {
	limit := time.Now().Add(seconds(to.Connect) + 10*time.Second)
	for {
		said := ""
		if text, err := os.ReadFile(t.Log); err == nil && int64(len(text)) > begin {
			said = string(text[begin:])
		}
		missing := 0
		t.mu.Lock()
		if t.Back {
			for _, m := range allocated.FindAllStringSubmatch(said, -1) {
				if port, err := strconv.Atoi(m[1]); err == nil && t.Ports[m[2]] == 0 {
					t.Ports[m[2]] = port
				}
			}
		}
		for _, port := range t.Ports {
			switch {
			case port == 0:
				missing++
			case !t.Back:
				c, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), time.Second)
				if err != nil {
					missing++
				} else {
					_ = c.Close() // nothing was sent
				}
			}
		}
		t.mu.Unlock()
		select {
		case <-t.p.Done():
			return fmt.Errorf("tunnel: %w", to.unreachable(nil, said))
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
		if missing == 0 {
			return nil
		}
		if time.Now().After(limit) {
			return fmt.Errorf("tunnel: %w", to.unreachable(context.DeadlineExceeded, said))
		}
	}
}

// close ends the tunnel.
func (t *tunnel) close(ctx context.Context) error {
	t.work.Lock()
	defer t.work.Unlock()
	t.closed = true
	if t.p == nil {
		p, err := process.Attach(t.Process)
		if err != nil {
			return nil // it has ended, or is of another machine
		}
		t.p = p
	}
	if err := t.p.Stop(ctx, time.Second); err != nil {
		return fmt.Errorf("tunnel: %w", err)
	}
	_ = os.Remove(t.Log) // of no interest any more
	return nil
}

// keep starts the tunnel again if it has ended, and reports whether it had.
func (t *tunnel) keep(ctx context.Context, to *target, tag string) (again bool, err error) {
	t.work.Lock()
	defer t.work.Unlock()
	if t.closed {
		return false, nil
	}
	if t.p == nil {
		if p, err := process.Attach(t.Process); err == nil {
			t.p = p
		}
	}
	if t.p != nil && t.p.Alive() {
		return false, nil
	}
	return true, t.open(ctx, to, tag)
}

// openBack makes the controller's ports reachable on the machine for its engines,
// and returns their connection file.
func (p *plan) openBack(ctx context.Context, m *machine) (content string, err error) {
	if p.content == "" {
		return "", fmt.Errorf("%w: tunnel: the controller's engine file is not there", sdk.ErrBadOption)
	}
	file, err := connectionFile([]byte(p.content))
	if err != nil {
		return "", err
	}
	ends, err := endpoints(file)
	if err != nil {
		return "", err
	}
	lines, err := m.target.call(ctx, "where\n")
	if err != nil {
		return "", err
	}
	location := ""
	for _, line := range lines {
		if words := strings.Split(line, " "); words[0] == "host" && len(words) == 3 {
			location = words[1]
		}
	}
	t := &tunnel{tunnelState: tunnelState{Back: true, Ports: make(map[string]int), Log: p.tunnelLog(m)}}
	for _, end := range ends {
		t.Ports[end] = 0
	}
	if err := t.open(ctx, &m.target, p.request.Tag); err != nil {
		return "", err
	}
	m.tunnel = t
	text, err := t.through([]byte(p.content), location)
	return string(text), err
}

// tunnelLog is where the tunnel's ssh writes.
func (p *plan) tunnelLog(m *machine) string {
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune("/\\ :", r) {
			return '_'
		}
		return r
	}, m.target.name())
	return filepath.Join(p.request.LogDir, fmt.Sprintf("tunnel-%s-%s.log", p.request.ID, name))
}

// openThere makes the ports of a controller on the host reachable here, and returns both
// connection files for that.
func (l *Launcher) openThere(ctx context.Context, m *machine, info sdk.ConnectionInfo) (sdk.ConnectionInfo, error) {
	if m.tunnel == nil {
		t := &tunnel{tunnelState: tunnelState{Ports: make(map[string]int), Log: l.plan.tunnelLog(m)}}
		for _, text := range []json.RawMessage{info.Client, info.Engine} {
			file, err := connectionFile(text)
			if err != nil {
				return info, err
			}
			ends, err := endpoints(file)
			if err != nil {
				return info, err
			}
			for _, end := range ends {
				t.Ports[end] = 0
			}
		}
		if err := freePorts(t.Ports); err != nil {
			return info, err
		}
		if err := t.open(ctx, &m.target, l.plan.request.Tag); err != nil {
			return info, err
		}
		l.mu.Lock()
		m.tunnel = t
		l.mu.Unlock()
	}
	host, err := os.Hostname()
	if err != nil {
		return info, err
	}
	if info.Client, err = m.tunnel.through(info.Client, host); err != nil {
		return info, err
	}
	info.Engine, err = m.tunnel.through(info.Engine, host)
	return info, err
}

// freePorts fills in ports of this machine that nobody uses.
func freePorts(ports map[string]int) error {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			_ = l.Close() // ssh takes it next
		}
	}()
	for end := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("tunnel: %w", err)
		}
		held = append(held, l)
		ports[end] = l.Addr().(*net.TCPAddr).Port
	}
	return nil
}
