//go:build !race

package robust

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/controller"
	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/sockets/curve"
	"github.com/ipcore/ipcore/core/wire"
	"github.com/ipcore/ipcore/test/load"
)

// attacker acts as peers that do not belong to the cluster. All its connections end with
// close.
type attacker struct {
	c     *load.Controller
	ports []int
	curve *curve.Config // of the controller; nil without encryption

	mu       sync.Mutex
	cleanups []func()
}

func newAttacker(t *testing.T, c *load.Controller) *attacker {
	t.Helper()
	f, e := c.Client, c.Engine
	s := &attacker{c: c, ports: slices.Concat([]int{
		f.Registration, f.Control, f.Mux, f.Task, f.IOPub, f.Notification, f.Broadcast,
		e.Control, e.Mux, e.Task, e.IOPub, e.HBPing, e.HBPong,
	}, e.Broadcast)}
	if f.CurveServerKey != nil {
		var err error
		if s.curve, err = curve.ClientConfig(*f.CurveServerKey); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *attacker) onLeave(end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cleanups = append(s.cleanups, end)
}

func (s *attacker) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, end := range s.cleanups {
		end()
	}
	s.cleanups = nil
}

// sendRaw connects to a port and writes data until the controller closes the connection.
func (s *attacker) sendRaw(port int, data ...[]byte) error {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), 10*time.Second)
	if err != nil {
		return err
	}
	s.onLeave(func() { _ = conn.Close() })
	if err := conn.SetWriteDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	for _, d := range data {
		if _, err := conn.Write(d); err != nil {
			return nil //nolint:nilerr // it was thrown out
		}
	}
	return nil
}

// peer is a ZeroMQ peer that finishes its handshake.
func (s *attacker) peer(port int, kind sockets.Kind, identity string, handler func(*sockets.Conn, [][]byte)) (*sockets.Socket, error) {
	p := sockets.New(kind, sockets.Options{Identity: []byte(identity), Handler: handler, Curve: s.curve})
	s.onLeave(func() { _ = p.Close(0) })
	if kind == sockets.Sub {
		p.Subscribe(nil)
	}
	return p, p.Dial(fmt.Sprintf("tcp://127.0.0.1:%d", port))
}

// session signs with a key: the cluster's for nil.
func (s *attacker) session(key *string) (*wire.Session, error) {
	k := s.c.Client.Key
	if key != nil {
		k = *key
	}
	signer, err := wire.NewSigner(s.c.Client.SignatureScheme, k)
	if err != nil {
		return nil, err
	}
	return wire.NewSession("", signer, "json")
}

// send sends messages to a port as a DEALER.
func (s *attacker) send(port int, messages ...[][]byte) error {
	p, err := s.peer(port, sockets.Dealer, "", nil)
	if err != nil {
		return err
	}
	for _, m := range messages {
		if err := p.Send(m...); err != nil {
			return err
		}
	}
	return nil
}

// forge signs parts that no session would pack, behind an engine's name.
func forge(session *wire.Session, engine string, header, parent, metadata, content []byte) [][]byte {
	m := wire.Message{Header: header, Parent: parent, Metadata: metadata, Content: content}
	m.Signature = session.Signer().Sign(&m)
	m.Idents = [][]byte{[]byte(engine)}
	return m.AppendFrames(nil)
}

// greeting is ZMTP 3.1's.
func greeting(mechanism string) []byte {
	g := make([]byte, 64)
	g[0], g[9], g[10], g[11] = 0xff, 0x7f, 3, 1
	copy(g[12:32], mechanism)
	return g
}

// command is a short command frame.
func command(name string, body ...byte) []byte {
	return slices.Concat([]byte{4, byte(1 + len(name) + len(body)), byte(len(name))}, []byte(name), body)
}

// property is one of READY's.
func property(name, value string) []byte {
	b := append([]byte{byte(len(name))}, name...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(value)))
	return append(b, value...)
}

func huge(flags byte, size uint64) []byte { return binary.BigEndian.AppendUint64([]byte{flags}, size) }

// attacks are what strangers do, by name, on every port.
var attacks = []struct {
	name string
	on   func(s *attacker, port int) error
}{
	{"silent", func(s *attacker, port int) error {
		for range 500/len(s.ports) + 1 {
			if err := s.sendRaw(port); err != nil {
				return err
			}
		}
		return nil
	}},
	{"garbage", func(s *attacker, port int) error {
		for _, b := range []byte{0, 0xff, 'G', 1} {
			if err := s.sendRaw(port, slices.Repeat([]byte{b, 0x7f, '\n', b}, 1024)); err != nil {
				return err
			}
		}
		return s.sendRaw(port, []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	}},
	{"wrong mechanisms", func(s *attacker, port int) error {
		for _, mechanism := range []string{"NULL", "PLAIN", "CURVE", "GSSAPI", "nothing", ""} {
			hello := command("HELLO", slices.Repeat([]byte{7}, 194)...)
			if err := s.sendRaw(port, greeting(mechanism), hello, command("READY", property("Socket-Type", "STREAM")...)); err != nil {
				return err
			}
		}
		return nil
	}},
	{"claims of 2^62 bytes", func(s *attacker, port int) error {
		for _, flags := range []byte{2, 3, 6, 7} {
			if err := s.sendRaw(port, greeting("NULL"), huge(flags, 1<<62)); err != nil {
				return err
			}
			if err := s.sendRaw(port, greeting("NULL"), command("READY", property("Socket-Type", "DEALER")...), huge(flags, 1<<62), make([]byte, 4096)); err != nil {
				return err
			}
		}
		return nil
	}},
	{"endless messages", func(s *attacker, port int) error {
		const bytes = 4 << 20
		more := slices.Repeat([]byte{1, 0}, 8192)
		data := [][]byte{greeting("NULL"), command("READY", property("Socket-Type", "DEALER")...)}
		for range bytes / len(more) {
			data = append(data, more)
		}
		if err := s.sendRaw(port, data...); err != nil {
			return err
		}
		return s.send(port, make([][]byte, 70_000)) // sealed, where that is asked for
	}},
	{"truncated metadata", func(s *attacker, port int) error {
		whole := property("Socket-Type", "DEALER")
		for n := range len(whole) {
			if err := s.sendRaw(port, greeting("NULL"), command("READY", whole[:n]...)); err != nil {
				return err
			}
		}
		return s.sendRaw(port, greeting("NULL"), command("READY", append(slices.Clone(whole[:12]), 0xff, 0xff, 0xff, 0xff)...))
	}},
	{"duplicate identities", func(s *attacker, port int) error {
		for range 5 {
			if _, err := s.peer(port, sockets.Dealer, "the same", nil); err != nil {
				return err
			}
		}
		return nil
	}},
	{"wrong signatures", func(s *attacker, port int) error {
		wrong := "a wrong key"
		session, err := s.session(&wrong)
		if err != nil {
			return err
		}
		var messages [][][]byte
		for range 50 {
			m, err := session.Message("apply_request", nil, nil, map[string]any{}, []byte("f"))
			if err != nil {
				return err
			}
			messages = append(messages, m.AppendFrames(nil), append([][]byte{[]byte("somebody")}, m.AppendFrames(nil)...))
		}
		return s.send(port, messages...)
	}},
	{"replays", func(s *attacker, port int) error {
		session, err := s.session(nil)
		if err != nil {
			return err
		}
		m, err := session.Message("connection_request", nil, nil, map[string]any{})
		if err != nil {
			return err
		}
		return s.send(port, slices.Repeat([][][]byte{m.AppendFrames(nil)}, 50)...)
	}},
	{"nonsense that is signed", func(s *attacker, port int) error {
		session, err := s.session(nil)
		if err != nil {
			return err
		}
		deep := slices.Concat(slices.Repeat([]byte("["), 50_000), slices.Repeat([]byte("]"), 50_000))
		object := slices.Concat(slices.Repeat([]byte(`{"a":`), 50_000), []byte("1"), slices.Repeat([]byte("}"), 50_000))
		empty := []byte("{}")
		var messages [][][]byte
		for i, header := range [][]byte{
			deep, object, []byte("{"), []byte("null"), []byte("\xff\xfe{}"), []byte(`{"msg_id": "\xff\xc0", "msg_type": "\xff"}`),
			[]byte(`{"msg_id": "nine", "msg_type": "apply_request", "session": "s", "date": "2026-11-25T12:00:00.123456789+00:00"}`),
		} {
			for _, engine := range []string{"", "somebody"} {
				messages = append(messages, forge(session, engine, header, empty, empty, empty), forge(session, engine, empty, header, empty, empty))
				for place, part := range [][2][]byte{{header, empty}, {empty, header}} {
					good := fmt.Appendf(nil, `{"msg_id": "%d-%d-%d", "msg_type": "apply_request", "session": "s", "date": "2026-11-25T12:00:00.123456789Z"}`, port, i, place)
					messages = append(messages, forge(session, engine, good, empty, part[0], part[1]))
				}
			}
		}
		return s.send(port, messages...)
	}},
	{"readers that stop", func(s *attacker, port int) error {
		stop := make(chan struct{})
		s.onLeave(func() { close(stop) })
		_, err := s.peer(port, sockets.Sub, "", func(*sockets.Conn, [][]byte) { <-stop })
		return err
	}},
}

// TestAttacks has every attack made on every port while tasks run one at a
// time: none is lost, the slow ones are not much slower, and the controller's
// memory stays bounded and is given back.
func TestAttacks(t *testing.T) {
	for name, encryption := range map[string]controller.Encryption{"NULL": controller.EncryptNever, "CURVE": controller.EncryptAlways} {
		t.Run(name, func(t *testing.T) {
			v := start(t, 4, settings{Encryption: encryption})
			s := newAttacker(t, v.Controller)
			v.latencyP99(200) // what is made once is there
			before := v.usage()
			for _, a := range attacks {
				t.Run(a.name, func(t *testing.T) {
					w := *v
					w.t = t
					w.compareDuringAttack(s, a.on)
					w.awaitUsage(before)
				})
			}
		})
	}
}

// memoryLimit is what a controller may hold while strangers are about.
const memoryLimit = 256 << 20

// TestOpenFiles opens more connections than the controller may have files: who
// is connected continues, a newcomer gets an error, and the log names the limit.
func TestOpenFiles(t *testing.T) {
	const limit = 256
	v := start(t, 4, settings{OpenFiles: limit})
	v.latencyP99(50)
	s := newAttacker(t, v.Controller)
	for range limit {
		if err := s.sendRaw(v.Controller.Client.Registration); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "a full controller", func() bool { return strings.Contains(v.log(), "has reached its limit of open files") })
	t.Logf("p99 %v", v.latencyP99(200))
	if log := v.log(); !strings.Contains(log, fmt.Sprintf("limit=%d", limit)) {
		t.Errorf("the limit is not in the log:\n%s", v.tail())
	}
	await(t, "an error to a newcomer", func() bool {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", v.Controller.Client.Mux))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if err := conn.SetDeadline(time.Now().Add(3 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write(greeting("NULL"))
		text, _ := io.ReadAll(conn) // as much as there is
		return strings.Contains(string(text), "too many open files")
	})
	s.close()
	c, err := load.NewClient(v.ctx, v.Controller.Client)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// compareDuringAttack compares tasks before and during an attack. The machine may have
// other things to do: the best of a few comparisons counts.
func (v *target) compareDuringAttack(s *attacker, attack func(*attacker, int) error) {
	v.t.Helper()
	tasks, attempts, floor, pause := 200, 1, 2*time.Second, time.Duration(0)
	if long { // the pauses, and 10 ms, are for the attackers' own need of the processors
		tasks, attempts, floor, pause = 4000, 5, 10*time.Millisecond, 100*time.Millisecond
	}
	var told string
	for range attempts {
		alone := v.latencyP99(tasks)
		done := make(chan error, 1)
		go func() { done <- s.attackPorts(attack, pause) }()
		beside := v.latencyP99(tasks)
		if err := <-done; err != nil {
			v.t.Fatal(err)
		}
		m, err := v.Memory()
		if err != nil {
			v.t.Fatal(err)
		}
		s.close()
		if m.RSS > memoryLimit {
			v.t.Errorf("%d MB of memory", m.RSS/1e6)
		}
		told = fmt.Sprintf("p99 %v alone, %v during the attack, %d MB", alone, beside, m.RSS/1e6)
		if beside <= max(2*alone, floor) {
			v.t.Log(told)
			return
		}
	}
	v.t.Error(told)
}

// attackPorts attacks each port.
func (s *attacker) attackPorts(attack func(*attacker, int) error, pause time.Duration) error {
	for _, port := range s.ports {
		if err := attack(s, port); err != nil {
			return fmt.Errorf("port %d: %w", port, err)
		}
		time.Sleep(pause)
	}
	return nil
}

// latencyP99 runs tasks one at a time and returns the 99th percentile.
func (v *target) latencyP99(tasks int) time.Duration {
	v.t.Helper()
	rate, _, err := v.Latency(v.ctx, tasks)
	if err != nil {
		v.t.Fatal(err)
	}
	return rate.Quantile(0.99)
}
