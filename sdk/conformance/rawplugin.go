package conformance

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/hostcert"
	"github.com/ipcore/ipcore/sdk/process"
)

// endTimeout is how long a plugin that was asked to end may take.
const endTimeout = 5 * time.Second

// rawPlugin is a plugin process that a check starts itself, as the contract describes,
// without the library that the host uses.
type rawPlugin struct {
	b      *fixture
	cmd    *exec.Cmd
	dir    string // of the socket and the certificates
	certs  *hostcert.Certificates
	out    *bufio.Reader
	pipes  []*os.File // the host's ends of stdout and stderr
	ended  chan struct{}
	stderr process.TailBuffer

	network, address string
	own              []byte // the certificate that the plugin created, DER; nil if it uses the host's files
}

// handshakePattern matches the line that a plugin prints.
var handshakePattern = regexp.MustCompile(`^1\|(\d+)\|(unix|tcp)\|([^|]+)\|grpc\|([A-Za-z0-9+/]*)\r?\n$`)

// startRaw starts the plugin with the variables of a host. env changes them; the value
// "" removes a variable.
func (b *fixture) startRaw(env map[string]string) *rawPlugin {
	// The path has to be short: that of a socket has at most about 100 bytes.
	dir, err := os.MkdirTemp(shortTemp(), "check")
	if err != nil {
		b.fatalf("create a folder for the socket: %v", err)
	}
	p := &rawPlugin{b: b, dir: dir, ended: make(chan struct{}), stderr: process.TailBuffer{Max: maxSeen / 2}}
	b.onCleanup(func() { _ = os.RemoveAll(dir) }) // mostly the plugin has removed it
	if p.certs, err = hostcert.New(); err == nil {
		err = p.certs.Write(dir)
	}
	if err != nil {
		b.fatalf("issue certificates: %v", err)
	}
	all := map[string]string{
		sdk.EnvCookie: sdk.Cookie, sdk.EnvTLSDir: dir, sdk.EnvLogLevel: "info",
		"PLUGIN_UNIX_SOCKET_DIR": dir, "PLUGIN_CLIENT_CERT": string(p.certs.CA), "PLUGIN_PROTOCOL_VERSIONS": "1",
		"PLUGIN_MIN_PORT": "10000", "PLUGIN_MAX_PORT": "25000",
	}
	for name, value := range env {
		all[name] = value
		if value == "" {
			delete(all, name)
		}
	}
	p.cmd = exec.Command(b.Command[0], b.Command[1:]...)
	p.cmd.Env = process.Environ(all)
	process.SetGroup(p.cmd)
	outR, outW := b.pipe()
	errR, errW := b.pipe()
	p.cmd.Stdout, p.cmd.Stderr = outW, errW
	p.out, p.pipes = bufio.NewReader(outR), []*os.File{outR, errR}
	err = p.cmd.Start()
	_, _ = outW.Close(), errW.Close() // the plugin has its own
	if err != nil {
		b.fatalf("start %s: %v", b.Command[0], err)
	}
	go func() { // ends with the process
		_ = p.cmd.Wait() // ProcessState says how it ended
		close(p.ended)
	}()
	go func() { _, _ = io.Copy(&p.stderr, errR) }() // ends with the pipe
	b.onCleanup(func() {
		_ = process.KillGroup(p.cmd.Process) // mostly it has ended already
		<-p.ended
	})
	return p
}

func (b *fixture) pipe() (r, w *os.File) {
	r, w, err := os.Pipe()
	if err != nil {
		b.fatalf("create a pipe: %v", err)
	}
	b.onCleanup(func() { _, _ = r.Close(), w.Close() }) // mostly they are closed already
	return r, w
}

func shortTemp() string {
	if dir := os.TempDir(); len(dir) < 60 {
		return dir
	}
	return "/tmp"
}

// line reads the plugin's first line, checks its form, and returns the contract's
// version in it.
func (p *rawPlugin) line() string {
	line, err := p.firstLine()
	form := handshakePattern.FindStringSubmatch(line)
	switch {
	case err != nil && line == "":
		p.b.fatalf("%v; stderr: %s", err, &p.stderr)
	case form == nil:
		p.b.fatalf("the first line on stdout is %.120q, not the handshake", line)
	}
	p.network, p.address = form[2], form[3]
	if form[4] != "" {
		if p.own, err = base64.RawStdEncoding.DecodeString(form[4]); err != nil {
			p.b.fatalf("the certificate in the first line: %v", err)
		}
	}
	return form[1]
}

// firstLine reads the first line.
func (p *rawPlugin) firstLine() (string, error) {
	type read struct {
		line string
		err  error
	}
	lines := make(chan read, 1)
	go func() { // ends with the line or the pipe
		line, err := p.out.ReadString('\n')
		lines <- read{line, err}
	}()
	select {
	case r := <-lines:
		if r.err != nil {
			r.err = fmt.Errorf("stdout ended: %w", r.err)
		}
		return r.line, r.err
	case <-time.After(p.b.Patience):
		return "", fmt.Errorf("no line within %v", p.b.Patience)
	}
}

// invoker is a connection on which calls are made.
type invoker interface {
	Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error
}

// clientTLS returns the TLS configuration of the host, which accepts the certificate of
// the plugin.
func (p *rawPlugin) clientTLS() *tls.Config {
	config := p.certs.Client()
	if p.own != nil {
		cert, err := x509.ParseCertificate(p.own)
		if err != nil {
			p.b.fatalf("the certificate in the first line: %v", err)
		}
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AddCert(cert)
	}
	return config
}

// connect connects to the plugin with a TLS configuration; nil means without TLS.
func (p *rawPlugin) connect(config *tls.Config) *grpc.ClientConn {
	target := p.address
	if p.network == "unix" {
		target = "unix:" + target
	}
	creds := insecure.NewCredentials()
	if config != nil {
		creds = credentials.NewTLS(config)
	}
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(creds), grpc.WithIdleTimeout(0),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(sdk.MaxMessage), grpc.MaxCallSendMsgSize(sdk.MaxMessage)))
	if err != nil {
		p.b.fatalf("connect: %v", err)
	}
	p.b.onCleanup(func() { _ = conn.Close() }) // some checks have closed it
	return conn
}

// startServing starts the plugin and does what a host does first: it reads the
// handshake, connects, opens the stream whose end shows the plugin that its host is
// gone, and checks the plugin's health.
func (b *fixture) startServing() (*rawPlugin, *grpc.ClientConn, *sdk.Client) {
	p := b.startRaw(nil)
	p.line()
	conn := p.connect(p.clientTLS())
	stream, err := conn.NewStream(context.WithoutCancel(b.ctx), &grpc.StreamDesc{ServerStreams: true}, "/plugin.GRPCStdio/StreamStdio")
	if err == nil {
		if err = stream.SendMsg(&emptypb.Empty{}); err == nil {
			err = stream.CloseSend()
		}
	}
	if err != nil {
		b.errorf("open plugin.GRPCStdio: %v", err)
	}
	c := sdk.NewClient(conn)
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	if err := c.Ping(ctx); err != nil {
		b.fatalf("health: %v; stderr: %s", err, &p.stderr)
	}
	return p, conn, c
}

// endsWithin reports whether the plugin ends within d.
func (p *rawPlugin) endsWithin(d time.Duration) bool {
	select {
	case <-p.ended:
		return true
	case <-time.After(d):
		return false
	}
}

// wantEnd fails unless the plugin ends within endTimeout.
func (p *rawPlugin) wantEnd(when string) {
	if !p.endsWithin(endTimeout) {
		p.b.errorf("the plugin still runs %v %s", endTimeout, when)
	}
}

// closeHostSide closes the pipes and the connection, as the death of the host does.
func (p *rawPlugin) closeHostSide(conn *grpc.ClientConn) {
	for _, f := range p.pipes {
		_ = f.Close() // goroutines that read it end
	}
	_ = conn.Close() // the connection is gone even after an error
}

// leftoverFiles returns the files in the plugin's folder that are not the host's own.
func (p *rawPlugin) leftoverFiles() []string {
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return nil // the folder was removed
	}
	var left []string
	for _, e := range entries {
		switch e.Name() {
		case "ca.pem", "cert.pem", "key.pem":
		default:
			left = append(left, filepath.Join(p.dir, e.Name()))
		}
	}
	return left
}
