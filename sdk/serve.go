package sdk

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// farewell is how long the plugin waits for its watchers when it ends.
const watcherGrace = 300 * time.Millisecond

// lastDuty bounds stopping what a host that died has started and may not know.
const orphanStopLimit = 30 * time.Second

// Serve is the main function of a launcher: call it first and print nothing. It
// answers "describe", or serves ipcore until ipcore lets the plugin go or is
// gone. Workloads run on in either case. It exits the process.
func Serve(info Info, launcher Factory) {
	os.Exit(serve(info, launcher, os.Args[1:], os.Stdout, os.Stderr))
}

func serve(info Info, launcher Factory, args []string, stdout, stderr io.Writer) int {
	env := handshakeEnv()
	info = info.complete(launcher)
	if len(args) == 1 && args[0] == "describe" {
		if err := info.print(stdout); err != nil {
			fmt.Fprintln(stderr, err)
			return 1
		}
		return 0
	}
	if env[EnvCookie] != Cookie {
		fmt.Fprintf(stderr, "ipcore-launcher-%s is a launcher of ipcore and is started by ipcore: ipcore --engines=%s\nrun it with the argument \"describe\" to see what it does\n", info.Name, info.Name)
		return 1
	}
	// go-plugin replaces os.Stderr later; this logger keeps the real one.
	log := hclog.New(&hclog.LoggerOptions{
		Name: info.Name, Level: hclog.LevelFromString(env[EnvLogLevel]),
		Output: os.Stderr, JSONFormat: true,
	})
	if err := info.Check(); err != nil {
		log.Error("the launcher describes itself wrongly", "error", err)
		return 1
	}
	return serveHost(info, launcher, log, env)
}

// serveHost serves the host that started this process.
func serveHost(info Info, launcher Factory, log hclog.Logger, env map[string]string) int {
	srv := newServer(context.Background(), info, launcher, log)
	lease := newHostWatch(log, connectTimeout)
	defer lease.stopTimer()

	// Interrupts from a terminal are not for us; the host decides. Catching them
	// (not ignoring, which children would inherit) is all that is needed.
	caught := make(chan os.Signal, 4)
	signal.Notify(caught, caughtSignals...)
	done := make(chan struct{})
	defer close(done)
	go func() { // ends with serveHost
		for {
			select {
			case s := <-caught:
				if endsPlugin(s) {
					log.Info("asked to end, workloads run on", "signal", s.String())
					lease.stopServer()
				}
			case <-done:
				return
			}
		}
	}()

	go lease.watchPipe(done) // ends with serveHost

	served := false
	files := hostFiles(env["PLUGIN_UNIX_SOCKET_DIR"], env[EnvTLSDir])
	restore := privateUmask()
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  Handshake(),
		VersionedPlugins: map[int]plugin.PluginSet{Protocol: {pluginName: &service{server: srv}}},
		Logger:           log,
		TLSProvider: func() (*tls.Config, error) {
			restore() // the socket has been made
			return serverTLS(env[EnvTLSDir], env["PLUGIN_CLIENT_CERT"])
		},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			served = true
			clearHandshakeEnv()
			g := newGRPCServer(log, append(opts, grpc.StatsHandler(lease)))
			lease.setStop(g.Stop)
			return g
		},
	})
	restore()
	if lease.hostDied() {
		srv.stopUnknown(orphanStopLimit)
	}
	srv.close(watcherGrace)
	files.remove()
	if !served {
		return 1 // go-plugin has logged why
	}
	return 0
}

// newGRPCServer adds what every server of the contract has.
func newGRPCServer(log hclog.Logger, opts []grpc.ServerOption) *grpc.Server {
	return grpc.NewServer(append(opts,
		grpc.MaxRecvMsgSize(MaxMessage), grpc.MaxSendMsgSize(MaxMessage),
		grpc.UnaryInterceptor(func(ctx context.Context, req any, call *grpc.UnaryServerInfo, h grpc.UnaryHandler) (out any, err error) {
			defer recovered(log, call.FullMethod, &err)
			return h(ctx, req)
		}),
		grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, call *grpc.StreamServerInfo, h grpc.StreamHandler) (err error) {
			defer recovered(log, call.FullMethod, &err)
			return h(srv, stream)
		}))...)
}

// recovered turns a panic of a launcher into an error of the call.
func recovered(log hclog.Logger, method string, err *error) {
	if v := recover(); v != nil {
		log.Error("the launcher panicked", "method", method, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		*err = status.Errorf(codes.Internal, "the launcher panicked: %v (its log has the stack)", v)
	}
}

// serverTLS makes the plugin's side of the mutual TLS. With the host's files it
// uses those; with the host's certificate alone it answers nil, and go-plugin
// makes a certificate. It never serves without TLS.
func serverTLS(dir, hostCert string) (*tls.Config, error) {
	if dir == "" {
		if hostCert == "" {
			return nil, errors.New("the host gave no certificate; this launcher does not serve without TLS")
		}
		return nil, nil //nolint:nilnil // go-plugin's way to be told to make its own
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		return nil, fmt.Errorf("load the certificate from %s: %w", dir, err)
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return nil, fmt.Errorf("load the host's authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("no certificate in %s", filepath.Join(dir, "ca.pem"))
	}
	return &tls.Config{
		Certificates: []tls.Certificate{cert},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    pool,
		MinVersion:   tls.VersionTLS12,
	}, nil
}

// privateEnv answers what is between host and plugin in the environment.
func handshakeEnv() map[string]string {
	env := make(map[string]string)
	for _, kv := range os.Environ() { //nolint:forbidigo // the plugin's side of the handshake; sdk/process can't be imported here
		if name, value, _ := strings.Cut(kv, "="); HandshakeVariable(name) {
			env[name] = value
		}
	}
	return env
}

// clearPrivate takes it out, so that no child gets it whichever way it is
// started.
func clearHandshakeEnv() {
	for name := range handshakeEnv() {
		_ = os.Unsetenv(name) // fails for no name that was there
	}
}

// leftovers are the files that the host made for this process. The host removes
// them; a plugin whose host was killed does it instead.
type leftovers []string

func hostFiles(dirs ...string) leftovers {
	var l leftovers
	for _, d := range dirs {
		if d != "" {
			l = append(l, filepath.Join(d, "ca.pem"), filepath.Join(d, "cert.pem"), filepath.Join(d, "key.pem"), filepath.Join(d, "lock"), d)
		}
	}
	return l
}

func (l leftovers) remove() {
	for _, path := range l {
		_ = os.Remove(path) // gone already, or a folder with other things in it: both fine
	}
}

// TestServer is a plugin served inside this process, for tests.
type TestServer struct {
	Network, Address string // where it listens
	Info             Info   // what it describes
	stop             context.CancelFunc
	closed           chan struct{}
	srv              *server
}

// ServeTest serves a launcher inside this process over a real socket, without
// TLS, cookie and leash. Package plugintest builds on it.
func ServeTest(info Info, launcher Factory, log hclog.Logger) (*TestServer, error) {
	clearHandshakeEnv()
	info = info.complete(launcher)
	if err := info.Check(); err != nil {
		return nil, fmt.Errorf("sdk.Info: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t := &TestServer{Info: info, stop: cancel, closed: make(chan struct{}), srv: newServer(ctx, info, launcher, log)}
	where := make(chan *plugin.ReattachConfig, 1)
	go plugin.Serve(&plugin.ServeConfig{ // ended by Close
		HandshakeConfig:  Handshake(),
		VersionedPlugins: map[int]plugin.PluginSet{Protocol: {pluginName: &service{server: t.srv}}},
		Logger:           log,
		GRPCServer:       func(opts []grpc.ServerOption) *grpc.Server { return newGRPCServer(log, opts) },
		Test:             &plugin.ServeTestConfig{Context: ctx, ReattachConfigCh: where, CloseCh: t.closed},
	})
	select {
	case at := <-where:
		t.Network, t.Address = at.Addr.Network(), at.Addr.String()
		return t, nil
	case <-t.closed:
		cancel()
		return nil, errors.New("the launcher could not be served; the log says why")
	}
}

// Close ends the server as the end of a plugin process would; workloads run on.
func (t *TestServer) Close() {
	t.stop()
	<-t.closed
	t.srv.close(5 * time.Second)
}
