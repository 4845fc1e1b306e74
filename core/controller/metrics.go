package controller

import (
	"fmt"

	"github.com/ipcore/ipcore/core/controller/metrics"
)

// listenMetrics opens the port for metrics if one is configured.
func (c *controller) listenMetrics() (err error) {
	port := c.o.MetricsPort
	if port == 0 {
		return nil
	}
	parts := metrics.Parts{
		Hub: c.hub.Stats, ProbeHub: c.hub.Probe, Tasks: c.task.SchedulerStats,
		Queues: []metrics.Queue{
			{Name: "mux", Stats: c.mux.Stats}, {Name: "control", Stats: c.control.Stats}, {Name: "task", Stats: c.task.Stats},
			{Name: "iopub", Stats: c.iopub.Stats}, {Name: "broadcast", Stats: c.bcast.Stats},
		},
		Sockets: []metrics.Socket{
			{Name: "hub", Side: "both", Stats: c.query.Stats},
			{Name: "notification", Side: "clients", Stats: c.notify.Stats},
			{Name: "hb_ping", Side: "engines", Stats: c.heart.Ping.Stats},
			{Name: "hb_pong", Side: "engines", Stats: c.heart.Pong.Stats},
		},
	}
	if c.metrics, err = metrics.Listen(max(port, 0), parts, c.log.Named("metrics")); err != nil {
		return fmt.Errorf("controller: %w", err)
	}
	return nil
}
