package plugin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/ipcore/ipcore/core/launch/registry"
	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/hostcert"
	"github.com/ipcore/ipcore/sdk/process"
)

const (
	startTimeout = 10 * time.Second       // the default of OpenOptions.StartTimeout
	pingTimeout  = 5 * time.Second        // for the plugin's first reply
	closeGrace   = 500 * time.Millisecond // for the plugin's exit after it was asked to end
	killTimeout  = 2 * time.Second        // for the plugin's exit after it was killed
)

// OpenOptions are the options of Open. The zero value is valid.
type OpenOptions struct {
	Log          hclog.Logger  // nil: nothing is logged
	StartTimeout time.Duration // until the plugin has printed its first line; 0 means 10 s
}

// Plugin is a running plugin process.
type Plugin struct {
	Executable registry.Executable

	log       hclog.Logger
	client    *goplugin.Client
	rpc       *sdk.Client
	pid       int
	killed    context.CancelFunc // kills the process and its children
	socketDir *socketDir
	stderr    *process.TailBuffer
	logger    *pluginLogger

	once sync.Once
}

// Open starts the plugin process and checks that it replies. ctx bounds only the start. The
// caller has to Close the plugin, even if its process has ended.
func Open(ctx context.Context, f *registry.Executable, o OpenOptions) (*Plugin, error) {
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	if o.StartTimeout <= 0 {
		o.StartTimeout = startTimeout
	}
	p := &Plugin{Executable: *f, log: o.Log, stderr: &process.TailBuffer{Max: 4 << 10}}
	if err := p.open(ctx, o.StartTimeout); err != nil {
		p.kill() // this also reads the rest of its stderr
		return nil, fmt.Errorf("launcher %q (%s): %w%s", f.Name, f.Path, err, registry.StderrSuffix(p.stderr.String()))
	}
	return p, nil
}

func (p *Plugin) open(ctx context.Context, limit time.Duration) error {
	switch {
	case p.Executable.Info.Speaks == sdk.SpeaksScript && p.Executable.Bridge == "":
		return fmt.Errorf("it is a script, and %s%s, which serves scripts, was not found next to the other launchers", registry.Prefix, registry.BridgeName)
	case p.Executable.Info.Speaks != sdk.SpeaksGRPC && p.Executable.Info.Speaks != sdk.SpeaksScript:
		return fmt.Errorf("it uses the protocol %q; this ipcore supports %s and %s", p.Executable.Info.Speaks, sdk.SpeaksGRPC, sdk.SpeaksScript)
	case !slices.Contains(p.Executable.Info.Protocol, sdk.Protocol):
		return fmt.Errorf("it supports the contract versions %v, and this ipcore supports %d; update one of the two",
			p.Executable.Info.Protocol, sdk.Protocol)
	case p.Executable.Bridge == "" && !slices.Contains(p.Executable.Info.Security, sdk.SecurityMTLS):
		return fmt.Errorf("it offers the security %v, and this ipcore requires %q", p.Executable.Info.Security, sdk.SecurityMTLS)
	}
	command := p.Executable.Command()
	for _, path := range command {
		if err := p.Executable.Verify(path); err != nil {
			return err
		}
	}
	certs, err := hostcert.New()
	if err != nil {
		return fmt.Errorf("create certificates: %w", err)
	}
	if p.socketDir, err = newSocketDir(); err != nil {
		return err
	}
	dir := p.socketDir.path
	if err := certs.Write(dir); err != nil {
		return err
	}

	// Kill the process through exec's watcher of this context. Killing it through go-plugin
	// could block, because Client.Start can't be interrupted and holds the client's lock.
	running, kill := context.WithCancel(context.Background())
	p.killed = kill
	cmd := exec.CommandContext(running, command[0], command[1:]...)
	cmd.Cancel = func() error { return process.KillGroup(cmd.Process) }
	cmd.Env = process.Environ(map[string]string{
		"PLUGIN_UNIX_SOCKET_DIR": dir,
		"PLUGIN_CLIENT_CERT":     string(certs.CA),
		sdk.EnvTLSDir:            dir,
		sdk.EnvLogLevel:          p.log.GetLevel().String(),
	})
	process.SetGroup(cmd)
	p.logger = newPluginLogger(p.log)
	var dial peerDialer
	p.client = goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:     sdk.Handshake(),
		VersionedPlugins:    sdk.HostPlugins(),
		Cmd:                 cmd,
		SkipHostEnv:         true, // cmd.Env is the whole environment
		TLSConfig:           certs.Client(),
		AutoMTLS:            false,
		AllowedProtocols:    []goplugin.Protocol{goplugin.ProtocolGRPC},
		StartTimeout:        limit,
		MinPort:             10000,
		MaxPort:             25000,
		Managed:             false,
		GRPCBrokerMultiplex: false,
		GRPCDialOptions: []grpc.DialOption{
			grpc.WithContextDialer(dial.dial),
			grpc.WithIdleTimeout(0), // the plugin exits when the connection is closed
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(sdk.MaxMessage), grpc.MaxCallSendMsgSize(sdk.MaxMessage)),
		},
		Logger:     p.logger,
		Stderr:     p.stderr,
		SyncStdout: p.logger.writer("stdout"),
		SyncStderr: p.logger.writer("stderr"),
	})

	addr, err := callWithin(ctx, limit+time.Second, func() (addr net.Addr, err error) {
		defer func() { // go-plugin panics at some lines
			if v := recover(); v != nil {
				err = fmt.Errorf("its first line can't be used: %v", v)
			}
		}()
		return p.client.Start()
	})
	_ = os.Remove(filepath.Join(dir, "key.pem")) // if this fails, Close removes it with the folder
	if err != nil {
		return startError(err, limit)
	}
	p.pid = cmd.Process.Pid
	if err := dial.expect(addr, dir, p.pid); err != nil {
		return err
	}
	p.rpc, err = callWithin(ctx, pingTimeout, func() (*sdk.Client, error) {
		c, err := p.client.Client()
		if err != nil {
			return nil, err
		}
		raw, err := c.Dispense(sdk.PluginName)
		if err != nil {
			return nil, err
		}
		rpc, ok := raw.(*sdk.Client)
		if !ok {
			return nil, fmt.Errorf("dispensed a %T", raw)
		}
		return rpc, nil
	})
	if err != nil {
		return err
	}
	pingCtx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if err := p.rpc.Ping(pingCtx); err != nil {
		return pingError(err)
	}
	return nil
}

// callWithin calls f, which does not take a context, and waits for it until ctx ends, at
// most d. If f has not returned by then, it returns when the caller kills the plugin.
func callWithin[T any](ctx context.Context, d time.Duration, f func() (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		v, err := f()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.v, r.err
	case <-ctx.Done():
		var none T
		return none, fmt.Errorf("waiting for the plugin: %w", ctx.Err())
	}
}

// startError replaces go-plugin's error about the plugin's first line by a shorter one.
func startError(err error, limit time.Duration) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "Unrecognized remote plugin message"):
		line, _, _ := strings.Cut(strings.TrimPrefix(text, "Unrecognized remote plugin message: "), "\n")
		if line == "" {
			return errors.New("the plugin ended before it printed its first line")
		}
		return fmt.Errorf("the plugin's first line on stdout is not the handshake but %.200q", line)
	case strings.Contains(text, "timeout while waiting for plugin"):
		return fmt.Errorf("the plugin printed no line within %v", limit)
	}
	return err
}

// pingError returns the probable cause why the first call failed.
func pingError(err error) error {
	text := err.Error()
	for _, sign := range []string{"error reading server preface", "certificate required", "bad certificate", "connection reset", "EOF"} {
		if strings.Contains(text, sign) {
			return fmt.Errorf("the plugin did not accept the host's certificate: %w", err)
		}
	}
	return fmt.Errorf("the plugin does not reply: %w", err)
}

// Client returns the client for the contract's calls, for conformance checks. Others use
// Workload, which notices when the plugin ends.
func (p *Plugin) Client() *sdk.Client { return p.rpc }

// Done returns a channel that is closed when the plugin process has ended.
func (p *Plugin) Done() <-chan struct{} { return p.rpc.Done() }

// PID returns the plugin's process id.
func (p *Plugin) PID() int { return p.pid }

// Close ends the plugin process; its workloads keep running. It takes a few milliseconds,
// and at most two and a half seconds.
func (p *Plugin) Close() { p.once.Do(func() { p.end(closeGrace) }) }

// kill ends a plugin that has not replied.
func (p *Plugin) kill() { p.once.Do(func() { p.end(0) }) }

func (p *Plugin) end(grace time.Duration) {
	if p.socketDir != nil {
		defer func() {
			if err := p.socketDir.remove(); err != nil {
				p.log.Warn("can't remove the folder of the plugin's socket", "dir", p.socketDir.path, "error", err)
			}
		}()
	}
	if p.client == nil {
		return
	}
	p.logger.beginEnd()
	defer p.killed()
	if grace == 0 {
		p.killed()
	}
	done := make(chan struct{})
	go func() { // go-plugin's Kill has no deadline; killing the process ends it
		defer close(done)
		p.client.Kill()
	}()
	if grace > 0 && wait(done, grace) {
		return
	}
	p.killed()
	if !wait(done, killTimeout) {
		p.log.Warn("the plugin's pipes are still open, because a process that it started has them", "path", p.Executable.Path)
	}
}

// wait reports whether done is closed within d.
func wait(done <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}
