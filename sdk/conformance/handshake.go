package conformance

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/hostcert"
)

var handshakeChecks = []Check{{
	Name: "handshake-line", Once: true, Executable: true, run: func(b *fixture) { b.startRaw(nil).line() },
	Want: "the first line on stdout arrives in time and is 1|VERSION|unix|PATH|grpc| followed by nothing or an unpadded certificate",
}, {
	Name: "socket-private", Once: true, Executable: true, run: checkSocket,
	Want: "it listens in the folder that it was given, in which only its user can connect, or on 127.0.0.1",
}, {
	Name: "version-newer-host", Once: true, Executable: true, run: checkNewerHost,
	Want: "if it is offered versions 2 and 1 of the contract, it selects the highest that it describes",
}, {
	Name: "version-unknown", Once: true, Executable: true, run: checkUnknownVersion,
	Want: "if it is offered version 7 only, it ends, or answers with a version that it describes",
}, {
	Name: "health", Once: true, Executable: true, run: func(b *fixture) { b.startServing() },
	Want: "grpc.health.v1.Health/Check of \"plugin\" answers SERVING",
}, {
	Name: "tls-plaintext", Once: true, Executable: true, run: func(b *fixture) { b.refusesClient(nil) },
	Want: "a connection without TLS is refused",
}, {
	Name: "tls-no-certificate", Once: true, Executable: true,
	run:  func(b *fixture) { b.refusesClient(&tls.Config{InsecureSkipVerify: true}) }, //nolint:gosec // this client must be refused
	Want: "a client without a certificate is refused",
}, {
	Name: "tls-unknown-ca", Once: true, Executable: true, run: checkUnknownCA,
	Want: "a client whose certificate has the right names but was issued by another authority is refused",
}, {
	Name: "tls-1.2", Once: true, Executable: true, run: func(b *fixture) { b.acceptsTLS(tls.VersionTLS12) },
	Want: "TLS 1.2 works",
}, {
	Name: "tls-1.3", Once: true, Executable: true, run: func(b *fixture) { b.acceptsTLS(tls.VersionTLS13) },
	Want: "TLS 1.3 works",
}, {
	Name: "unknown-call", Once: true, Executable: true, run: checkUnknownCall,
	Want: "a call that is not in the contract is UNIMPLEMENTED, and the plugin continues to serve",
}, {
	Name: "stdout-silent", Once: true, Executable: true, run: checkStdout,
	Want: "nothing but the handshake appears on stdout, also during a start and a stop",
}}

func checkSocket(b *fixture) {
	p := b.startRaw(nil)
	p.line()
	if p.network == "tcp" {
		if !strings.HasPrefix(p.address, "127.0.0.1:") {
			b.errorf("it listens on %s", p.address)
		}
		return
	}
	i, err := os.Lstat(p.address)
	switch {
	case err != nil:
		b.errorf("its socket: %v", err)
	case !within(p.address, p.dir):
		b.errorf("it listens on %s, which is not in the folder %s", p.address, p.dir)
	case i.Mode().Perm()&0o022 != 0: // connecting needs write permission
		b.errorf("the socket's mode is %v", i.Mode())
	}
}

// within reports whether a path is in a folder, with symbolic links resolved.
func within(path, dir string) bool {
	real, err := filepath.EvalSymlinks(filepath.Dir(path))
	want, err2 := filepath.EvalSymlinks(dir)
	return err == nil && err2 == nil && real == want
}

func checkNewerHost(b *fixture) {
	want := "0"
	for _, v := range []int{1, 2} {
		if slices.Contains(b.Info.Protocol, v) {
			want = fmt.Sprint(v)
		}
	}
	if got := b.startRaw(map[string]string{"PLUGIN_PROTOCOL_VERSIONS": "2,1"}).line(); got != want {
		b.errorf("it describes %v and selected %s", b.Info.Protocol, got)
	}
}

func checkUnknownVersion(b *fixture) {
	p := b.startRaw(map[string]string{"PLUGIN_PROTOCOL_VERSIONS": "7"})
	line, err := p.firstLine()
	switch form := handshakePattern.FindStringSubmatch(line); {
	case err != nil && p.endsWithin(endTimeout):
	case err != nil:
		b.errorf("it printed no line and did not end: %v", err)
	case form == nil:
		b.errorf("it printed %.120q", line)
	case !slices.ContainsFunc(b.Info.Protocol, func(v int) bool { return fmt.Sprint(v) == form[1] }):
		b.errorf("it describes %v and answered with %s", b.Info.Protocol, form[1])
	}
}

// refusesClient fails the check if a client with this TLS configuration gets an answer.
func (b *fixture) refusesClient(config *tls.Config) {
	p, _, c := b.startServing()
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	if err := sdk.NewClient(p.connect(config)).Ping(ctx); err == nil {
		b.errorf("the client got an answer")
	}
	b.noError("afterwards, health for the host", c.Ping(b.ctx))
}

func checkUnknownCA(b *fixture) {
	other, err := hostcert.New()
	if err != nil {
		b.fatalf("%v", err)
	}
	config := other.Client()
	config.InsecureSkipVerify = true // the plugin has to refuse the client, not the client the plugin
	b.refusesClient(config)
}

func (b *fixture) acceptsTLS(version uint16) {
	p := b.startRaw(nil)
	p.line()
	config := p.clientTLS()
	config.MinVersion, config.MaxVersion = version, version
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	b.noError("health", sdk.NewClient(p.connect(config)).Ping(ctx))
}

func checkUnknownCall(b *fixture) {
	_, conn, c := b.startServing()
	err := conn.Invoke(b.ctx, "/ipcore.launcher.v1.Launcher/Teleport", &emptypb.Empty{}, &emptypb.Empty{})
	if status.Code(err) != codes.Unimplemented {
		b.errorf("the call returned %v", err)
	}
	b.noError("afterwards, health", c.Ping(b.ctx))
}

func checkStdout(b *fixture) {
	p, conn, c := b.startServing()
	rest := make(chan []byte, 1)
	go func() { // ends with the pipe
		all, _ := io.ReadAll(bufio.NewReader(p.out)) // the error does not matter
		rest <- all
	}()
	b.Client = c
	b.start(2, `echo of the workload; `+sleeper)
	b.stop()
	b.noError("Shutdown", shutdown(b.ctx, conn))
	select {
	case all := <-rest:
		if text := bytes.TrimSpace(all); len(text) > 0 {
			b.errorf("stdout has %.200q", text)
		}
	case <-time.After(endTimeout):
		b.errorf("stdout is still open %v after Shutdown: a process that the plugin started holds it", endTimeout)
	}
}

// shutdown asks the plugin to end. It returns nil if the answer is lost because the
// connection ended.
func shutdown(ctx context.Context, conn invoker) error {
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	err := conn.Invoke(ctx, "/plugin.GRPCController/Shutdown", &emptypb.Empty{}, &emptypb.Empty{})
	if status.Code(err) == codes.Unavailable {
		return nil
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %v", endTimeout)
	}
	return err
}
