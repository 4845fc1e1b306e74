package mongodb

import (
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/controller/db"
	"github.com/ipcore/ipcore/core/controller/db/dbtest"
	"github.com/ipcore/ipcore/core/controller/db/writer"
)

// proxy forwards connections between a client and a server. It can stop forwarding, like
// a server that hangs: connections stay open, and new ones are accepted.
type proxy struct {
	net.Listener
	server string

	mu      sync.Mutex
	stalled sync.Cond
	stall   bool
	conns   []net.Conn
	wg      sync.WaitGroup
}

func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &proxy{Listener: l, server: server}
	r.stalled.L = &r.mu
	r.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r.wg.Go(func() { r.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		r.set(false)
		r.mu.Lock()
		for _, c := range r.conns {
			_ = c.Close()
		}
		r.mu.Unlock()
		r.wg.Wait()
	})
	return r
}

func (r *proxy) set(stall bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stall = stall
	r.stalled.Broadcast()
}

func (r *proxy) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", r.server)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	r.mu.Lock()
	r.conns = append(r.conns, client, server)
	r.mu.Unlock()
	ended := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		r.wg.Go(func() {
			r.pass(way[1], way[0])
			ended <- struct{}{}
		})
	}
	<-ended
}

func (r *proxy) pass(to io.Writer, from io.Reader) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		r.mu.Lock()
		for r.stall {
			r.stalled.Wait()
		}
		r.mu.Unlock()
		if _, writeErr := to.Write(b[:n]); err != nil || writeErr != nil {
			return
		}
	}
}

// TestStalledServer stalls a server and lets it continue: changes are accepted at once
// all the time, only the first read waits for its timeout, and no record is lost.
func TestStalledServer(t *testing.T) {
	address, err := url.Parse(server(t))
	if err != nil {
		t.Fatal(err)
	}
	r := newProxy(t, address.Host)
	address.Host = r.Addr().String()
	d := openTest(t, Options{URI: address.String(), Writer: writer.Options{LoadTimeout: time.Second, FindTimeout: time.Second, SaveTimeout: time.Second}})
	add := func(from, to int) {
		t.Helper()
		began := time.Now()
		for i := from; i < to; i++ {
			if err := d.Add(dbtest.NewRecord(i)); err != nil {
				t.Fatal(err)
			}
			if err := d.Update(dbtest.NewRecord(i).MsgID, dbtest.Finish(i)); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("%d records took %v", to-from, took)
		}
	}
	read := func(i int) (time.Duration, error) {
		began := time.Now()
		_, err := d.Get(dbtest.NewRecord(i).MsgID)
		return time.Since(began), err
	}
	add(0, 20)
	d.Flush()
	if _, err := read(3); err != nil {
		t.Fatal(err)
	}
	r.set(true)
	add(20, 40)
	if _, err := read(33); err != nil {
		t.Errorf("a record that is not written yet: %v", err)
	}
	for attempt := range 3 {
		took, err := read(3)
		if !errors.Is(err, db.ErrUnavailable) || took > 5*time.Second || attempt > 0 && took > 500*time.Millisecond {
			t.Errorf("attempt %d to read: %v after %v", attempt, err, took)
		}
	}
	add(40, 60)
	waitFor(t, "a batch that can't be written", func() bool { return d.Status().Failures > 0 })
	r.set(false)
	d.Flush()
	waitFor(t, "a server that is read again", func() bool {
		_, err := read(3)
		return err == nil
	})
	found, err := d.Find(db.Query{}, db.FieldSet(db.MsgID, db.Completed))
	if err != nil || len(found) != 60 {
		t.Fatalf("%d records, %v", len(found), err)
	}
	if s := d.Status(); s.Lost != 0 || s.Failures == 0 {
		t.Errorf("status %+v", s)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// waitFor waits for a condition.
func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not met within 20 s: %s", what)
		}
	}
}
