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

const (
	endTimeout = 5 * time.Second // until a plugin that was asked to end has ended
)

// bare is a plugin process that the check started by itself, as the contract's
// plain text says and without the host's library.
type rawPlugin struct {
	b      *fixture
	cmd    *exec.Cmd
	dir    string // of the socket and the certificates
	certs  *hostcert.Certificates
	out    *bufio.Reader
	pipes  []*os.File // our ends of stdout and stderr
	ended  chan struct{}
	stderr process.TailBuffer

	network, address string
	own              []byte // certificate that the plugin made for itself, DER; nil for the host's files
}

// lineForm is the one line that a plugin prints.
var handshakePattern = regexp.MustCompile(`^1\|(\d+)\|(unix|tcp)\|([^|]+)\|grpc\|([A-Za-z0-9+/]*)\r?\n$`)

// bareStart starts the plugin; env is added to what a host gives, "" takes away.
func (b *fixture) startRaw(env map[string]string) *rawPlugin {
	// A short path: a socket's name has at most some 100 bytes.
	dir, err := os.MkdirTemp(shortTemp(), "check")
	if err != nil {
		b.fatalf("make a folder for the socket: %v", err)
	}
	p := &rawPlugin{b: b, dir: dir, ended: make(chan struct{}), stderr: process.TailBuffer{Max: maxSeen / 2}}
	b.onCleanup(func() { _ = os.RemoveAll(dir) }) // removed by the plugin in good cases
	if p.certs, err = hostcert.New(); err == nil {
		err = p.certs.Write(dir)
	}
	if err != nil {
		b.fatalf("make certificates: %v", err)
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
	ownGroup(p.cmd)
	outR, outW := b.pipe()
	errR, errW := b.pipe()
	p.cmd.Stdout, p.cmd.Stderr = outW, errW
	p.out, p.pipes = bufio.NewReader(outR), []*os.File{outR, errR}
	err = p.cmd.Start()
	_, _ = outW.Close(), errW.Close() // the plugin has them
	if err != nil {
		b.fatalf("start %s: %v", b.Command[0], err)
	}
	go func() { // ends with the process
		_ = p.cmd.Wait() // how it ended is read from ProcessState
		close(p.ended)
	}()
	go func() { _, _ = io.Copy(&p.stderr, errR) }() // ends with the pipe
	b.onCleanup(func() {
		_ = killGroup(p.cmd.Process) // ended already in good cases
		<-p.ended
	})
	return p
}

func (b *fixture) pipe() (r, w *os.File) {
	r, w, err := os.Pipe()
	if err != nil {
		b.fatalf("make a pipe: %v", err)
	}
	b.onCleanup(func() { _, _ = r.Close(), w.Close() }) // closed already in most cases
	return r, w
}

func shortTemp() string {
	if dir := os.TempDir(); len(dir) < 60 {
		return dir
	}
	return "/tmp"
}

// line reads the plugin's first line, checks its form, and answers the version.
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

// firstLine reads the first line as it is.
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

// invoker is a connection that calls are made on.
type invoker interface {
	Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error
}

// host is the host's side of the TLS, which trusts what the plugin shows.
func (p *rawPlugin) clientTLS() *tls.Config {
	side := p.certs.Client()
	if p.own != nil {
		cert, err := x509.ParseCertificate(p.own)
		if err != nil {
			p.b.fatalf("the certificate in the first line: %v", err)
		}
		side.RootCAs = x509.NewCertPool()
		side.RootCAs.AddCert(cert)
	}
	return side
}

// connect dials the plugin with a side of the TLS, nil for none.
func (p *rawPlugin) connect(side *tls.Config) *grpc.ClientConn {
	target := p.address
	if p.network == "unix" {
		target = "unix:" + target
	}
	creds := insecure.NewCredentials()
	if side != nil {
		creds = credentials.NewTLS(side)
	}
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(creds), grpc.WithIdleTimeout(0),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(sdk.MaxMessage), grpc.MaxCallSendMsgSize(sdk.MaxMessage)))
	if err != nil {
		p.b.fatalf("connect: %v", err)
	}
	p.b.onCleanup(func() { _ = conn.Close() }) // closed already in some checks
	return conn
}

// serve does what a host does up to the first answer: it reads the line,
// connects, opens the stream that is the plugin's leash, and asks for its health.
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

// gone waits for the plugin's end.
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

// vanish does to the plugin what the death of its host does.
func (p *rawPlugin) closeHostSide(conn *grpc.ClientConn) {
	for _, f := range p.pipes {
		_ = f.Close() // so that a reader ends
	}
	_ = conn.Close() // it ends either way
}

// litter answers what is in the folder that the plugin was given, beside the
// host's own files.
func (p *rawPlugin) leftoverFiles() []string {
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return nil // removed
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
