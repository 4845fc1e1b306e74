package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/connfile"
	"github.com/ipcore/ipcore/core/controller/db"
	"github.com/ipcore/ipcore/core/controller/heartbeat"
	"github.com/ipcore/ipcore/core/controller/hub"
	"github.com/ipcore/ipcore/core/controller/metrics"
	"github.com/ipcore/ipcore/core/controller/relay"
	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/sockets/curve"
	"github.com/ipcore/ipcore/core/wire"
)

// linger is how long a shutdown waits for peers to read what they were sent.
const linger = 500 * time.Millisecond

// noticeReplay is how long notifications are kept for new subscribers. A client
// asks for the list of engines first and subscribes to its changes afterwards; it
// would miss the changes in between. Receiving a change twice does no harm.
const noticeReplay = 10 * time.Second

// controller is a running controller.
type controller struct {
	o       Options
	log     hclog.Logger
	files   *files
	session *wire.Session
	curve   *curve.Config // nil: connections are not encrypted

	query    *sockets.Socket // ROUTER: registration and requests
	notify   *sockets.Socket // PUB: notifications
	database db.DB
	hub      *hub.Hub
	heart    *heartbeat.Monitor
	mux      *relay.Direct
	control  *relay.Direct
	iopub    *relay.IOPub
	task     *relay.Task
	bcast    *relay.Broadcast
	metrics  *metrics.Server // nil: not enabled
	dask     *dask
}

// Run runs a controller from start to shutdown. It returns nil when ctx has ended
// or a client has requested the shutdown, and an error when the controller could
// not start or one of its parts failed.
func Run(ctx context.Context, o Options) error {
	if err := o.resolve(); err != nil {
		return err
	}
	defer tuneGC()()
	if err := o.Profile.Create(); err != nil {
		return fmt.Errorf("controller: %w", err)
	}
	f, err := claim(&o)
	if err != nil {
		return err
	}
	defer f.release()
	log := newLimitedLog(o.Log)
	c := &controller{o: o, log: log, files: f, dask: newDask(o.Python, log.Named("dask"))}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer c.closeDB() // if the hub ran, it has closed it already
	client, engine, err := c.build(stop)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.listen(client, engine); err != nil {
		return err
	}
	c.logEncryption()
	if err := c.listenMetrics(); err != nil {
		return err
	}
	if !o.Reuse {
		defer f.remove()
	}
	return c.serve(ctx, stop, func() error { return f.write(client, engine) })
}

// build creates all parts and connects them. Nothing listens yet, so that no part
// is notified of a peer before all parts exist. build returns the connection files
// as far as they are known.
func (c *controller) build(stop func()) (client *connfile.Client, engine *connfile.Engine, err error) {
	if client, engine, err = c.connectionFiles(); err != nil {
		return nil, nil, err
	}
	signer, err := wire.NewSigner(client.SignatureScheme, client.Key)
	if err != nil {
		return nil, nil, fmt.Errorf("controller: %w", err)
	}
	if c.session, err = wire.NewSession("", signer, client.Pack); err != nil {
		return nil, nil, fmt.Errorf("controller: %w", err)
	}
	leaves := 1 << c.o.BroadcastDepth
	c.heart = heartbeat.New(heartbeat.Options{
		Curve: c.curve, Period: c.o.HeartbeatPeriod, MaxMisses: c.o.MaxMisses, Leaves: leaves,
		Ready: func(uuid string) { c.hub.Ready(uuid) },
		Lost:  func(uuid, cause string) { c.hub.Lost(uuid, cause) },
		Log:   c.log.Named("heartbeat"),
	})
	if err := c.buildHub(stop); err != nil {
		return nil, nil, err
	}
	if err := c.buildRelays(); err != nil {
		return nil, nil, err
	}
	return client, engine, nil
}

// connectionFiles returns the connection files without their ports, or those of the
// previous controller, with the ports to reuse.
func (c *controller) connectionFiles() (*connfile.Client, *connfile.Engine, error) {
	if c.o.Reuse {
		client, engine, err := c.files.read()
		if err == nil {
			err = c.reuseCurve(client)
		}
		if err == nil {
			c.log.Info("reusing connection info of "+c.files.client, "engines", c.files.engine)
			c.o.EnginePorts, c.o.ClientPorts = reusedPorts(client, engine)
			return client, engine, nil
		}
		c.log.Info("no connection files to reuse", "error", err)
	}
	if err := c.newCurve(); err != nil {
		return nil, nil, err
	}
	key, err := c.o.key()
	if err != nil {
		return nil, nil, err
	}
	pack, unpack := c.o.packers()
	client := &connfile.Client{
		SSH: c.o.SSHServer, Interface: "tcp://" + c.o.ClientIP, Location: c.o.Location, TaskScheme: c.o.Scheme,
		Key: key, CurveServerKey: c.serverKey(), Pack: pack, Unpack: unpack, SignatureScheme: c.o.SignatureScheme,
	}
	engine := &connfile.Engine{
		SSH: c.o.EngineSSHServer, Interface: "tcp://" + c.o.EngineIP, Location: c.o.Location,
		Key: key, CurveServerKey: c.serverKey(), Pack: pack, Unpack: unpack, SignatureScheme: c.o.SignatureScheme,
	}
	return client, engine, nil
}

func (c *controller) buildRelays() (err error) {
	options := func(on heartbeat.Channel) relay.Options {
		return relay.Options{
			Session: c.session, Monitor: c.hub, Curve: c.curve, Limits: c.o.Limits, Log: c.log.Named("queue"),
			Connected:    func(uuid string) { c.heart.Connected(on, uuid) },
			Disconnected: func(uuid string) { c.heart.Disconnected(on, uuid) },
		}
	}
	c.mux = relay.NewMux(options(heartbeat.Mux))
	c.control = relay.NewControl(options(heartbeat.Control))
	c.iopub = relay.NewIOPub(options(heartbeat.Mux)) // which does not report connections
	if c.task, err = relay.NewTask(c.o.Scheme, c.o.HWM, options(heartbeat.Task)); err != nil {
		return fmt.Errorf("controller: %w", err)
	}
	c.bcast, err = relay.NewBroadcast(c.o.BroadcastDepth, relay.LeafOptions{
		Connected: c.heart.LeafConnected, Disconnected: c.heart.LeafDisconnected,
	}, options(heartbeat.Mux))
	if err != nil {
		return fmt.Errorf("controller: %w", err)
	}
	return nil
}

func (c *controller) buildHub(stop func()) error {
	var err error
	if c.database, err = c.o.openDB(c.session.ID); err != nil {
		return fmt.Errorf("controller: %w", err)
	}
	c.query = sockets.New(sockets.Router, sockets.Options{
		Handler: func(conn *sockets.Conn, frames [][]byte) {
			c.hub.Request(conn.Identity(), conn.RemoteAddr().String(), frames)
		},
		Curve: c.curve, Limits: c.o.Limits, Log: c.log.Named("hub"),
	})
	c.notify = sockets.New(sockets.Pub, sockets.Options{Replay: noticeReplay, Curve: c.curve, Limits: c.o.Limits, Log: c.log.Named("hub")})
	c.hub, err = hub.New(hub.Options{
		Log: c.log.Named("hub"), Session: c.session, DB: c.database,
		HeartbeatPeriod: c.o.HeartbeatPeriod, RegistrationTimeout: c.o.RegistrationTimeout,
		StateFile: filepath.Join(c.o.Profile.LogDir(), "engines"+c.o.ClusterID+".json"), Restore: c.o.Restore,
		Reply: func(peer []byte, frames [][]byte) error { return c.query.SendTo(peer, frames...) },
		Notify: func(frames [][]byte) {
			if err := c.notify.Send(frames...); err != nil {
				c.log.Debug("notification not sent", "error", err)
			}
		},
		Resubmit: func(frames [][]byte) {
			if err := c.task.Submit(frames); err != nil {
				c.log.Warn("task not resubmitted", "error", err)
			}
		},
		BecomeDask: func(arguments json.RawMessage, answer func(json.RawMessage, error)) {
			c.dask.start(arguments, answer)
		},
		StopDask:  func() { c.dask.stop() },
		Pending:   func(id int, uuid string) { c.heart.Pending(uuid, id) },
		Abandoned: func(_ int, uuid, _ string) { c.heart.Forget(uuid) },
		Registered: func(id int, uuid string) {
			c.heart.Registered(uuid, id)
			c.task.EngineUp(uuid)
		},
		Unregistered: func(_ int, uuid, _ string) {
			c.heart.Forget(uuid)
			c.task.EngineDown(uuid)
			c.bcast.EngineDown(uuid)
		},
		Shutdown: stop,
	})
	if err != nil {
		return fmt.Errorf("controller: %w", err)
	}
	return nil
}
