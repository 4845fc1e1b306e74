package load

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/ipcore/ipcore/core/connfile"
	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/sockets/curve"
	"github.com/ipcore/ipcore/core/wire"
)

// Client is a synthetic client.
type Client struct {
	session *wire.Session
	task    *sockets.Socket
	mux     *sockets.Socket
	bcast   *sockets.Socket
	query   *sockets.Socket
	notify  *sockets.Socket
	iopub   *sockets.Socket

	// load and announced get replies and registrations; their readers'
	// goroutines call them.
	load      atomic.Pointer[load]
	announced atomic.Pointer[func(id int, uuid string)]
	iopubSeen atomic.Int64

	mu      sync.Mutex
	waiting map[string]chan<- answer // questions by msg_id
}

type answer struct {
	content []byte
	frames  int // buffers that came along
}

// NewClient connects a client and, where there is a hub, waits until it has
// answered.
func NewClient(ctx context.Context, f *connfile.Client) (*Client, error) {
	signer, err := wire.NewSigner(f.SignatureScheme, f.Key)
	if err != nil {
		return nil, err
	}
	session, err := wire.NewSession("", signer, "json")
	if err != nil {
		return nil, err
	}
	curve, err := curveConfig(f.CurveServerKey)
	if err != nil {
		return nil, err
	}
	c := &Client{session: session, waiting: map[string]chan<- answer{}}
	for _, s := range []struct {
		at      **sockets.Socket
		kind    sockets.Kind
		port    int
		handler func(*sockets.Conn, [][]byte)
	}{
		{&c.notify, sockets.Sub, f.Notification, c.handleNotification},
		{&c.iopub, sockets.Sub, f.IOPub, func(*sockets.Conn, [][]byte) { c.iopubSeen.Add(1) }},
		{&c.query, sockets.Dealer, f.Registration, c.handleHubReply},
		{&c.task, sockets.Dealer, f.Task, c.handleReply},
		{&c.mux, sockets.Dealer, f.Mux, c.handleReply},
		{&c.bcast, sockets.Dealer, f.Broadcast, c.handleReply},
	} {
		*s.at = sockets.New(s.kind, sockets.Options{Handler: s.handler, Curve: curve})
		if s.kind == sockets.Sub {
			(*s.at).Subscribe(nil)
		}
		if s.port == 0 {
			continue
		}
		if err := (*s.at).Dial(f.URL(s.port)); err != nil {
			c.Close()
			return nil, err
		}
	}
	if f.Registration != 0 {
		if _, err := c.Ask(ctx, "connection_request", nil); err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, nil
}

// curveConfig returns what encrypts connections to a controller with this key.
func curveConfig(serverKey *string) (*curve.Config, error) {
	if serverKey == nil {
		return nil, nil
	}
	return curve.ClientConfig(*serverKey)
}

// Close ends the client.
func (c *Client) Close() {
	for _, s := range []*sockets.Socket{c.query, c.task, c.mux, c.bcast, c.notify, c.iopub} {
		if s != nil {
			_ = s.Close(0) // nothing is left to be written
		}
	}
}

// Ask puts a question to the hub and returns the content of its reply.
func (c *Client) Ask(ctx context.Context, kind string, content any) (json.RawMessage, error) {
	h := c.session.NewHeader(kind)
	m, err := c.session.MessageWith(h, nil, nil, content)
	if err != nil {
		return nil, err
	}
	got := make(chan answer, 1)
	c.mu.Lock()
	c.waiting[h.MsgID] = got
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.waiting, h.MsgID)
		c.mu.Unlock()
	}()
	if err := c.query.Send(m.AppendFrames(nil)...); err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: no answer: %w", kind, ctx.Err())
	case a := <-got:
		var status struct{ Status, Ename, Evalue string }
		if err := json.Unmarshal(a.content, &status); err != nil {
			return nil, fmt.Errorf("%s: %w", kind, err)
		}
		if status.Status != "ok" {
			return nil, fmt.Errorf("%s: %s: %s", kind, status.Ename, status.Evalue)
		}
		return a.content, nil
	}
}

func (c *Client) handleHubReply(_ *sockets.Conn, frames [][]byte) {
	m, err := wire.Parse(frames)
	if err != nil {
		return
	}
	parent, err := wire.PeekHeader(m.Parent)
	if err != nil {
		return
	}
	c.mu.Lock()
	got := c.waiting[parent.MsgID]
	delete(c.waiting, parent.MsgID)
	c.mu.Unlock()
	if got != nil {
		got <- answer{bytes.Clone(m.Content), len(m.Buffers)}
	}
}

func (c *Client) handleNotification(_ *sockets.Conn, frames [][]byte) {
	told := c.announced.Load()
	m, err := wire.Parse(frames)
	if err != nil || told == nil || !bytes.Contains(m.Header, []byte(`"registration_notification"`)) {
		return
	}
	var e struct {
		ID   int
		UUID string
	}
	if json.Unmarshal(m.Content, &e) == nil {
		(*told)(e.ID, e.UUID)
	}
}

func (c *Client) handleReply(_ *sockets.Conn, frames [][]byte) {
	if l := c.load.Load(); l != nil {
		l.reply(frames)
	}
}

// Completed returns how many requests the hub has counted as finished: it
// keeps that count for each engine, whatever its database has dropped.
func (c *Client) Completed(ctx context.Context) (int, error) {
	content, err := c.Ask(ctx, "queue_request", map[string]any{"targets": nil, "verbose": false})
	if err != nil {
		return 0, err
	}
	var engines map[string]json.RawMessage
	if err := json.Unmarshal(content, &engines); err != nil {
		return 0, err
	}
	sum := 0
	for _, text := range engines {
		var e struct{ Completed int }
		if text[0] != '{' {
			continue // "status" and "unassigned"
		}
		if err := json.Unmarshal(text, &e); err != nil {
			return 0, fmt.Errorf("queue_reply: %w", err)
		}
		sum += e.Completed
	}
	return sum, nil
}

// History returns how many records the database holds.
func (c *Client) History(ctx context.Context) (int, error) {
	content, err := c.Ask(ctx, "history_request", nil)
	if err != nil {
		return 0, err
	}
	var reply struct{ History []json.RawMessage }
	err = json.Unmarshal(content, &reply)
	return len(reply.History), err
}
