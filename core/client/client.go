package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/connfile"
	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/sockets/curve"
	"github.com/ipcore/ipcore/core/wire"
)

// Errors of the client itself. Errors from engines and the controller have the type
// *wire.RemoteError.
var (
	ErrClosed       = errors.New("client closed")
	ErrShutdown     = errors.New("the controller has shut down")
	ErrDisconnected = errors.New("the connection to the controller was lost")
	ErrForgotten    = errors.New("the caller no longer waits for the reply")
	ErrNoEngines    = errors.New("no engines are registered")
)

const (
	// connectTimeout applies to Connect if its context has no deadline.
	connectTimeout = 10 * time.Second
	// lostAfter is how long the connection to the controller may be down before
	// the client is closed.
	lostAfter = 5 * time.Second
	// closeLinger is how long Close waits for queued messages to be written.
	closeLinger = time.Second
)

// Options select the controller to connect to.
type Options struct {
	// File is the path of a client connection file
	// (security/ipcontroller-client.json of a profile directory). If it has no
	// CURVE server key, the environment variable IPP_CURVE_SERVERKEY is used.
	File string
	// Info is the content of such a file; it takes precedence over File.
	Info *connfile.Client
	Log  hclog.Logger // nil discards
}

// Client is a connection to a controller. Its methods are safe for concurrent
// use.
type Client struct {
	log     hclog.Logger
	session *wire.Session
	curve   *curve.Config // nil: connections are not encrypted
	grace   time.Duration // replyGrace
	wg      sync.WaitGroup
	closed  chan struct{}
	ctx     context.Context // ends at Close
	cancel  context.CancelFunc

	query, mux, task, control *link // DEALERs
	notification, iopub       *link // SUBs

	// mu guards the fields below. It is not held while callbacks run.
	mu      sync.Mutex
	reason  error                    // why closed is closed
	engines map[int]string           // uuids of registered engines, by id
	ids     map[string]int           // every engine ever seen, by uuid
	gone    map[string]bool          // uuids that were unregistered
	changed chan struct{}            // closed when engines change
	calls   map[string]*call         // calls in progress, by msg_id
	lost    *time.Timer              // runs while the controller is disconnected
	late    map[*time.Timer]struct{} // timers of lost engines, see failLater
}

// link is one socket of the client.
type link struct {
	name string
	*sockets.Socket
	up   chan struct{} // closed at the first connection
	once sync.Once
}

// Connect connects to a controller and asks it for its engines. It waits until all
// connections are established, for at most 10 s if ctx has no deadline.
func Connect(ctx context.Context, o Options) (*Client, error) {
	info := o.Info
	if info == nil {
		if o.File == "" {
			return nil, errors.New("connect: neither a connection file nor its content was given")
		}
		var err error
		if info, err = connfile.ReadClient(o.File); err != nil {
			return nil, fmt.Errorf("connect: %w", err)
		}
	}
	serverKey := os.Getenv("IPP_CURVE_SERVERKEY")
	if info.CurveServerKey != nil && *info.CurveServerKey != "" {
		serverKey = *info.CurveServerKey
	}
	curve, err := curve.ClientConfig(serverKey)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	signer, err := wire.NewSigner(info.SignatureScheme, info.Key)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	session, err := wire.NewSession("", signer, info.Pack)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	c := &Client{
		log: o.Log, session: session, curve: curve, grace: replyGrace, closed: make(chan struct{}), changed: make(chan struct{}),
		engines: make(map[int]string), ids: make(map[string]int), gone: make(map[string]bool),
		calls: make(map[string]*call), late: make(map[*time.Timer]struct{}),
	}
	if c.log == nil {
		c.log = hclog.NewNullLogger()
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if err := c.dial(ctx, info); err != nil {
		c.Close()
		return nil, fmt.Errorf("connect: %w", err)
	}
	return c, nil
}

// dial opens the sockets, waits for their connections and asks for the engines. The
// notification socket subscribes first, so that no registration is missed.
func (c *Client) dial(ctx context.Context, info *connfile.Client) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, connectTimeout)
		defer cancel()
	}
	c.notification = c.newLink("notification", sockets.Sub, c.onNotification)
	c.iopub = c.newLink("iopub", sockets.Sub, c.onOutput)
	c.query = c.newLink("registration", sockets.Dealer, c.onReply)
	c.mux = c.newLink("mux", sockets.Dealer, c.onReply)
	c.task = c.newLink("task", sockets.Dealer, c.onReply)
	c.control = c.newLink("control", sockets.Dealer, c.onReply)
	ports := []int{info.Notification, info.IOPub, info.Registration, info.Mux, info.Task, info.Control}
	for i, l := range c.links() {
		if err := l.Dial(info.URL(ports[i])); err != nil {
			return err
		}
	}
	for i, l := range c.links() {
		select {
		case <-l.up:
		case <-ctx.Done():
			return fmt.Errorf("no controller responds on %s (%s): %w", info.URL(ports[i]), l.name, ctx.Err())
		}
	}
	if err := c.refresh(ctx, false); err != nil {
		return fmt.Errorf("ask for the engines: %w", err)
	}
	return nil
}

// newLink creates one socket. A DEALER's identity is the session id, so that replies
// reach it after a reconnection.
func (c *Client) newLink(name string, kind sockets.Kind, handle func([][]byte)) *link {
	l := &link{name: name, up: make(chan struct{})}
	o := sockets.Options{
		Log:          c.log.Named(name),
		Curve:        c.curve,
		Handler:      func(_ *sockets.Conn, frames [][]byte) { handle(frames) },
		Connected:    func(*sockets.Conn) { c.onConnected(l) },
		Disconnected: func(*sockets.Conn, error) { c.onDisconnected(l) },
	}
	if kind == sockets.Dealer {
		o.Identity = []byte(c.session.ID)
	}
	l.Socket = sockets.New(kind, o)
	if kind == sockets.Sub {
		l.Subscribe(nil)
	}
	return l
}

// links returns the sockets created so far, notification first.
func (c *Client) links() []*link {
	all := []*link{c.notification, c.iopub, c.query, c.mux, c.task, c.control}
	return slices.DeleteFunc(all, func(l *link) bool { return l == nil })
}

func (c *Client) onConnected(l *link) {
	first := false
	l.once.Do(func() { first = true; close(l.up) })
	if first || l != c.query {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost != nil {
		c.lost.Stop()
		c.lost = nil
	}
	if c.reason == nil {
		c.wg.Go(func() { // the controller is back, or another one took its place
			ctx, cancel := context.WithTimeout(c.ctx, connectTimeout)
			defer cancel()
			if err := c.refresh(ctx, true); err != nil {
				c.log.Warn("cannot ask for the engines after a reconnection", "error", err)
			}
		})
	}
}

// onDisconnected ends the requests of a lost connection, since their replies can no
// longer arrive. If the query connection stays lost for lostAfter, the client ends.
func (c *Client) onDisconnected(l *link) {
	c.mu.Lock()
	var ended []*call
	for _, k := range c.calls {
		if k.link == l && !k.replied {
			ended = append(ended, k)
		}
	}
	c.endAll(ended, ErrDisconnected)
	if l == c.query && c.reason == nil && c.lost == nil {
		c.lost = time.AfterFunc(lostAfter, func() { c.end(ErrDisconnected) })
	}
	c.mu.Unlock()
	runFinished(ended)
}

// Closed returns a channel that is closed when the controller has shut down or has
// been disconnected for 5 s, and by Close. Reason returns which.
func (c *Client) Closed() <-chan struct{} { return c.closed }

// Reason returns nil while the client is open, and then ErrShutdown, ErrDisconnected
// or ErrClosed.
func (c *Client) Reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason
}

// end closes Closed and ends every request.
func (c *Client) end(reason error) {
	c.mu.Lock()
	if c.reason != nil {
		c.mu.Unlock()
		return
	}
	c.reason = reason
	if c.lost != nil {
		c.lost.Stop()
	}
	for t := range c.late {
		t.Stop()
	}
	ended := slices.Collect(maps.Values(c.calls))
	c.endAll(ended, reason)
	close(c.closed)
	c.mu.Unlock()
	runFinished(ended)
}

// Close closes the connections and ends every request in progress. Engines continue
// with the requests they received. Close must not be called from a callback.
func (c *Client) Close() {
	c.end(ErrClosed)
	c.cancel()
	var all sync.WaitGroup
	for _, l := range c.links() {
		all.Go(func() {
			if err := l.Close(closeLinger); err != nil {
				c.log.Warn("cannot close", "socket", l.name, "error", err)
			}
		})
	}
	all.Wait()
	c.wg.Wait()
}
