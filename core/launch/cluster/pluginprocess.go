package cluster

import (
	"context"
	"sync"

	"github.com/ipcore/ipcore/core/launch/plugin"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/launch/registry"
)

// host is one plugin executable and the process that serves it at the moment.
// Units of the same executable share it.
type pluginProcess struct {
	executable *registry.Executable
	log        hclog.Logger

	mu     sync.Mutex
	plugin *plugin.Plugin // nil before the first use and after close
	closed bool
}

// process answers the plugin process. It starts one when there is none, or when
// the last one has ended.
func (h *pluginProcess) running(ctx context.Context) (*plugin.Plugin, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.plugin != nil {
		select {
		case <-h.plugin.Done():
			h.plugin.Close()
			h.plugin = nil
		default:
			return h.plugin, nil
		}
	}
	if h.closed {
		return nil, context.Canceled
	}
	p, err := plugin.Open(ctx, h.executable, plugin.OpenOptions{Log: h.log})
	if err != nil {
		return nil, err
	}
	h.plugin = p
	return p, nil
}

// close ends the plugin process. Workloads that still run go on.
func (h *pluginProcess) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if h.plugin != nil {
		h.plugin.Close()
		h.plugin = nil
	}
}
