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

// watcherGrace is how long an ending plugin waits for its watchers.
const watcherGrace = 300 * time.Millisecond

// orphanStopLimit bounds how long a plugin whose host died takes to stop the workloads
// that the host may not know.
const orphanStopLimit = 30 * time.Second

// Serve is the main function of a launcher. Call it first, and print nothing before.
// With the argument "describe" it prints the description. Otherwise it serves ipcore
// until ipcore ends the plugin or is gone; workloads keep running in either case. It
// does not return: it exits the process.
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
		fmt.Fprintf(stderr, "ipcore-launcher-%s is a launcher for ipcore, and ipcore starts it: ipcore --engines=%s\nrun it with the argument \"describe\" to print its description\n", info.Name, info.Name)
		return 1
	}
	// go-plugin replaces os.Stderr later; this logger keeps the original.
	log := hclog.New(&hclog.LoggerOptions{
		Name: info.Name, Level: hclog.LevelFromString(env[EnvLogLevel]),
		Output: os.Stderr, JSONFormat: true,
	})
	if err := info.Check(); err != nil {
		log.Error("the launcher's description is not valid", "error", err)
		return 1
	}
	return serveHost(info, launcher, log, env)
}

// serveHost serves the host that started this process, and returns the exit code.
func serveHost(info Info, launcher Factory, log hclog.Logger, env map[string]string) int {
	srv := newServer(context.Background(), info, launcher, log)
	watch := newHostWatch(log, connectTimeout)
	defer watch.stopTimer()

	// Interrupts from a terminal are meant for the host. They are caught and not
	// ignored, because children would inherit ignored signals.
	caught := make(chan os.Signal, 4)
	signal.Notify(caught, caughtSignals...)
	done := make(chan struct{})
	defer close(done)
	go func() { // ends with serveHost
		for {
			select {
			case s := <-caught:
				if endsPlugin(s) {
					log.Info("ending on a signal, workloads keep running", "signal", s.String())
					watch.stopServer()
				}
			case <-done:
				return
			}
		}
	}()

	go watch.watchPipe(done) // ends with serveHost

	served := false
	files := hostFiles(env["PLUGIN_UNIX_SOCKET_DIR"], env[EnvTLSDir])
	restore := privateUmask()
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  Handshake(),
		VersionedPlugins: map[int]plugin.PluginSet{Protocol: {PluginName: &service{server: srv}}},
		Logger:           log,
		TLSProvider: func() (*tls.Config, error) {
			restore() // the socket exists now
			return serverTLS(env[EnvTLSDir], env["PLUGIN_CLIENT_CERT"])
		},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			served = true
			clearHandshakeEnv()
			g := newGRPCServer(log, append(opts, grpc.StatsHandler(watch)))
			watch.setStop(g.Stop)
			return g
		},
	})
	restore()
	if watch.hostDied() {
		srv.stopUnknown(orphanStopLimit)
	}
	srv.close(watcherGrace)
	removeAll(files)
	if !served {
		return 1 // go-plugin has logged the reason
	}
	return 0
}

// newGRPCServer returns a server with the limits of the contract, which turns panics of
// launchers into errors.
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

// serverTLS returns the plugin's TLS configuration. It uses the host's files if dir
// names their folder. With the host's certificate alone it returns nil, and go-plugin
// creates a certificate. Without either it returns an error: the plugin never serves
// without TLS.
func serverTLS(dir, hostCert string) (*tls.Config, error) {
	if dir == "" {
		if hostCert == "" {
			return nil, errors.New("the host passed no certificate; a launcher does not serve without TLS")
		}
		return nil, nil //nolint:nilnil // makes go-plugin create its own
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		return nil, fmt.Errorf("load the certificate from %s: %w", dir, err)
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return nil, fmt.Errorf("read the host's certificate authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s contains no certificate", filepath.Join(dir, "ca.pem"))
	}
	return &tls.Config{
		Certificates: []tls.Certificate{cert},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    pool,
		MinVersion:   tls.VersionTLS12,
	}, nil
}

// handshakeEnv returns the variables that the host passed to this plugin.
func handshakeEnv() map[string]string {
	env := make(map[string]string)
	for _, kv := range os.Environ() { //nolint:forbidigo // the plugin's side of the handshake; sdk/process can't be imported here
		if name, value, _ := strings.Cut(kv, "="); HandshakeVariable(name) {
			env[name] = value
		}
	}
	return env
}

// clearHandshakeEnv removes those variables from the environment, so that no child
// inherits them, however it is started.
func clearHandshakeEnv() {
	for name := range handshakeEnv() {
		_ = os.Unsetenv(name) // does not fail for a name that was set
	}
}

// hostFiles returns the files and folders that the host created for this plugin. The
// host removes them; a plugin whose host was killed does it instead.
func hostFiles(dirs ...string) []string {
	var l []string
	for _, d := range dirs {
		if d != "" {
			l = append(l, filepath.Join(d, "ca.pem"), filepath.Join(d, "cert.pem"), filepath.Join(d, "key.pem"), filepath.Join(d, "lock"), d)
		}
	}
	return l
}

// removeAll removes files and empty folders.
func removeAll(paths []string) {
	for _, path := range paths {
		_ = os.Remove(path) // it may be gone, or a folder with other files in it
	}
}

// TestServer is a plugin served inside this process, for tests.
type TestServer struct {
	Network, Address string // where it listens
	Info             Info   // its description, complete
	stop             context.CancelFunc
	closed           chan struct{}
	srv              *server
}

// ServeTest serves a launcher inside this process over a real socket, without TLS and
// without a cookie, until Close. It does not watch whether a host exists. Package
// plugintest builds on it.
func ServeTest(info Info, launcher Factory, log hclog.Logger) (*TestServer, error) {
	clearHandshakeEnv()
	info = info.complete(launcher)
	if err := info.Check(); err != nil {
		return nil, fmt.Errorf("sdk.Info: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t := &TestServer{Info: info, stop: cancel, closed: make(chan struct{}), srv: newServer(ctx, info, launcher, log)}
	where := make(chan *plugin.ReattachConfig, 1)
	go plugin.Serve(&plugin.ServeConfig{ // ends with Close
		HandshakeConfig:  Handshake(),
		VersionedPlugins: map[int]plugin.PluginSet{Protocol: {PluginName: &service{server: t.srv}}},
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
		return nil, errors.New("the launcher could not be served; its log has the reason")
	}
}

// Close ends the server as the end of a plugin process would; workloads keep running.
func (t *TestServer) Close() {
	t.stop()
	<-t.closed
	t.srv.close(5 * time.Second)
}
