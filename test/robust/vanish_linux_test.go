//go:build !race

package robust

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/connfile"
	"github.com/ipcore/ipcore/core/controller"
	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/test/load"
)

// TestVanishing lets clients and engines come and go in every way while others
// work: they lose nothing, and nothing is left of those.
func TestVanishing(t *testing.T) {
	for name, encryption := range map[string]controller.Encryption{"NULL": controller.EncryptNever, "CURVE": controller.EncryptAlways} {
		t.Run(name, func(t *testing.T) {
			v := start(t, 4, settings{Encryption: encryption})
			for _, way := range ways { // once for what is made once
				v.withLoad(way.goes)
			}
			before := v.usage()
			for _, way := range ways {
				t.Run(way.name, func(t *testing.T) {
					w := *v
					w.t = t
					w.withLoad(way.goes)
					w.awaitUsage(before)
				})
			}
		})
	}
}

// withLoad has direct requests and tasks answered while f runs.
func (v *target) withLoad(f func(*target)) {
	v.t.Helper()
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if _, err := v.Mux(v.ctx, 200, 20); err != nil {
				done <- err
				return
			}
		}
	}()
	f(v)
	close(stop)
	if err := <-done; err != nil {
		v.t.Fatal(err)
	}
}

// ways are how peers end.
var ways = []struct {
	name string
	goes func(*target)
}{
	{"clients", func(v *target) {
		n := 50
		if long {
			n = 200
		}
		for range n {
			c, err := load.NewClient(v.ctx, v.Controller.Client)
			if err != nil {
				v.t.Fatal(err)
			}
			c.Close()
		}
	}},
	{"clients with results pending", func(v *target) {
		s := newAttacker(v.t, v.Controller)
		defer s.close()
		for range 20 {
			session, err := s.session(nil)
			if err != nil {
				v.t.Fatal(err)
			}
			p, err := s.peer(v.Controller.Client.Task, sockets.Dealer, "", nil)
			if err != nil {
				v.t.Fatal(err)
			}
			for range 50 {
				m, err := session.Message("apply_request", nil, nil, map[string]any{}, bytes.Repeat([]byte("f"), 500))
				if err != nil {
					v.t.Fatal(err)
				}
				if err := p.Send(m.AppendFrames(nil)...); err != nil {
					v.t.Fatal(err)
				}
			}
			_ = p.Close(time.Second) // the results come to nobody
		}
	}},
	{"engines", func(v *target) {
		for range 3 {
			all, err := load.StartEngines(v.ctx, v.Controller.Engine, 8)
			if err != nil {
				v.t.Fatal(err)
			}
			all.Close()
		}
		v.awaitOtherEnginesLost()
	}},
	{"an engine that is stopped, then killed", func(v *target) { v.endEngines(syscall.SIGSTOP, syscall.SIGKILL) }},
	{"an engine that is killed", func(v *target) { v.endEngines(syscall.SIGKILL) }},
}

// awaitOtherEnginesLost waits until the others' engines are lost.
func (v *target) awaitOtherEnginesLost() {
	v.t.Helper()
	await(v.t, "loss of the others' engines", func() bool {
		content, err := v.Client.Ask(v.ctx, "connection_request", nil)
		return err == nil && strings.Count(string(content), `":`) <= len(v.Engines)+2
	})
}

// endEngines runs engines in a process of their own, gives them work, and sends
// the process signals, each when the hub has noticed the one before.
func (v *target) endEngines(signals ...syscall.Signal) {
	v.t.Helper()
	program, err := os.Executable()
	if err != nil {
		v.t.Fatal(err)
	}
	_, name := connfile.Names("")
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), asEngines+"="+filepath.Join(v.profile(), "security", name))
	in, err := cmd.StdinPipe() // it ends with us
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	out, err := cmd.StdoutPipe()
	if err != nil {
		v.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		v.t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	}()
	var uuids []string
	for lines := bufio.NewScanner(out); len(uuids) < 2 && lines.Scan(); {
		uuids = append(uuids, lines.Text())
	}
	if len(uuids) < 2 {
		v.t.Fatal("the engines' process has ended")
	}
	await(v.t, "announcement of the engines", func() bool {
		content, err := v.Client.Ask(v.ctx, "connection_request", nil)
		return err == nil && strings.Contains(string(content), uuids[0]) && strings.Contains(string(content), uuids[1])
	})
	for i, s := range signals {
		if err := syscall.Kill(cmd.Process.Pid, s); err != nil {
			v.t.Fatal(err)
		}
		if i == 0 {
			v.errorFrom(uuids[0])
		}
	}
	v.awaitOtherEnginesLost()
}

// errorFrom sends a request to an engine that has ended, or takes nothing any
// more, and waits until that one is lost and its request has ended in an error.
func (v *target) errorFrom(uuid string) {
	v.t.Helper()
	s := newAttacker(v.t, v.Controller)
	defer s.close()
	session, err := s.session(nil)
	if err != nil {
		v.t.Fatal(err)
	}
	p, err := s.peer(v.Controller.Client.Mux, sockets.Dealer, "", nil)
	if err != nil {
		v.t.Fatal(err)
	}
	m, err := session.Message("apply_request", nil, nil, map[string]any{}, []byte("f"))
	if err != nil {
		v.t.Fatal(err)
	}
	m.Idents = [][]byte{[]byte(uuid)}
	if err := p.Send(m.AppendFrames(nil)...); err != nil {
		v.t.Fatal(err)
	}
	await(v.t, "loss of the engine", func() bool {
		content, err := v.Client.Ask(v.ctx, "connection_request", nil)
		return err == nil && !strings.Contains(string(content), uuid)
	})
	await(v.t, "an error in the record", func() bool {
		content, err := v.Client.Ask(v.ctx, "db_request", map[string]any{
			"query": map[string]any{"engine_uuid": uuid, "completed": nil}, "keys": []string{"msg_id"},
		})
		return err == nil && !strings.Contains(string(content), `"msg_id"`)
	})
}
