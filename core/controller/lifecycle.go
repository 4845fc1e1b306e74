package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/ipcore/ipcore/core/connfile"
	"github.com/ipcore/ipcore/core/controller/relay"
	"github.com/ipcore/ipcore/core/sockets"
)

// listen opens all ports, in the order of the protocol, and stores them in client
// and engine.
func (c *controller) listen(client *connfile.Client, engine *connfile.Engine) error {
	shared := c.o.Ports
	engines := portPool{own: c.o.EnginePorts, shared: &shared}
	clients := portPool{own: c.o.ClientPorts, shared: &shared}
	engine.Broadcast = make([]int, len(c.bcast.Leaves))
	type binding struct {
		what string
		s    *sockets.Socket
		ip   string
		from *portPool
		port *int
	}
	list := []binding{
		{"registration", c.query, c.o.EngineIP, &engines, &engine.Registration},
		{"engines' control", c.control.Engines, c.o.EngineIP, &engines, &engine.Control},
		{"engines' mux", c.mux.Engines, c.o.EngineIP, &engines, &engine.Mux},
		{"engines' task", c.task.Engines, c.o.EngineIP, &engines, &engine.Task},
		{"engines' iopub", c.iopub.Engines, c.o.EngineIP, &engines, &engine.IOPub},
		{"hb_ping", c.heart.Ping, c.o.EngineIP, &engines, &engine.HBPing},
		{"hb_pong", c.heart.Pong, c.o.EngineIP, &engines, &engine.HBPong},
	}
	for i, leaf := range c.bcast.Leaves {
		list = append(list, binding{"engines' broadcast", leaf, c.o.EngineIP, &engines, &engine.Broadcast[i]})
	}
	list = append(list,
		binding{"control", c.control.Clients, c.o.ClientIP, &clients, &client.Control},
		binding{"mux", c.mux.Clients, c.o.ClientIP, &clients, &client.Mux},
		binding{"task", c.task.Clients, c.o.ClientIP, &clients, &client.Task},
		binding{"iopub", c.iopub.Clients, c.o.ClientIP, &clients, &client.IOPub},
		binding{"notification", c.notify, c.o.ClientIP, &clients, &client.Notification},
		binding{"broadcast", c.bcast.Clients, c.o.ClientIP, &clients, &client.Broadcast},
	)
	for _, b := range list {
		port, err := listen(b.s, b.what, b.ip, b.from.next())
		if err != nil {
			return err
		}
		*b.port = port
	}
	client.Registration = engine.Registration
	if c.o.ClientIP != c.o.EngineIP {
		if _, err := listen(c.query, "clients' registration", c.o.ClientIP, client.Registration); err != nil {
			return err
		}
	}
	return c.setEndpoints(engine)
}

// setEndpoints gives the hub the endpoints that it sends to engines. They do not
// include the key.
func (c *controller) setEndpoints(e *connfile.Engine) error {
	info, err := json.Marshal(map[string]any{
		"interface": e.Interface, "registration": e.Registration, "control": e.Control, "mux": e.Mux, "task": e.Task,
		"iopub": e.IOPub, "hb_ping": e.HBPing, "hb_pong": e.HBPong, "broadcast": e.Broadcast,
	})
	if err != nil {
		return fmt.Errorf("controller: %w", err)
	}
	c.hub.SetEndpoints(fmt.Sprintf("%s:%d", e.Interface, e.Registration), info)
	return nil
}

// serve runs all parts until ctx ends. It calls publish when everything is ready for
// peers.
func (c *controller) serve(ctx context.Context, stop func(), publish func() error) error {
	failures := make(chan error, 4)
	var group sync.WaitGroup
	run := func(what string, f func(context.Context) error) {
		group.Go(func() {
			if err := f(ctx); err != nil {
				failures <- fmt.Errorf("controller: %s: %w", what, err)
				stop()
			}
		})
	}
	run("hub", c.hub.Run)
	run("heartbeat", c.heart.Run)
	run("task queue", c.task.Run)
	if c.metrics != nil {
		group.Go(func() { c.metrics.Serve(ctx) })
	}
	if c.o.Scheme == relay.SchemePure {
		c.log.Info("task::using pure DEALER Task scheduler")
	} else {
		c.log.Info(fmt.Sprintf("task::using Python %s Task scheduler", c.o.Scheme))
		c.log.Info(fmt.Sprintf("Scheduler started [%s]", c.o.Scheme))
	}
	if err := publish(); err != nil {
		failures <- err
		stop()
	} else if c.o.Ready != nil {
		c.o.Ready(c.files.client, c.files.engine)
	}
	<-ctx.Done()
	c.log.Info("controller is shutting down")
	group.Wait()
	close(failures)
	var all []error
	for err := range failures {
		all = append(all, err)
	}
	return errors.Join(all...)
}

// close closes all sockets. Peers have linger to read their last messages.
func (c *controller) close() {
	var group sync.WaitGroup
	for _, end := range []func(){
		func() { _ = c.query.Close(linger) },
		func() { _ = c.notify.Close(linger) },
		c.heart.Close,
		c.dask.close,
		func() { c.mux.Close(linger) },
		func() { c.control.Close(linger) },
		func() { c.iopub.Close(linger) },
		func() { c.task.Close(linger) },
		func() { c.bcast.Close(linger) },
	} {
		group.Go(end)
	}
	group.Wait()
}
