package cluster

import (
	"context"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/launch/plugin"
	"github.com/ipcore/ipcore/core/launch/registry"
)

// pluginProcess is a launcher's executable and its current plugin process. All workloads
// of the launcher share it.
type pluginProcess struct {
	executable *registry.Executable
	log        hclog.Logger

	mu     sync.Mutex
	plugin *plugin.Plugin // nil before the first use, and after close
	closed bool
}

// running returns the plugin process. It starts one if there is none, or if the last one
// has ended.
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

// close ends the plugin process. Its workloads keep running.
func (h *pluginProcess) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if h.plugin != nil {
		h.plugin.Close()
		h.plugin = nil
	}
}
