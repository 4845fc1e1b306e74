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
func (p *pluginProcess) running(ctx context.Context) (*plugin.Plugin, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.plugin != nil {
		select {
		case <-p.plugin.Done():
			p.plugin.Close()
			p.plugin = nil
		default:
			return p.plugin, nil
		}
	}
	if p.closed {
		return nil, context.Canceled
	}
	opened, err := plugin.Open(ctx, p.executable, plugin.OpenOptions{Log: p.log})
	if err != nil {
		return nil, err
	}
	p.plugin = opened
	return opened, nil
}

// close ends the plugin process. Its workloads keep running.
func (p *pluginProcess) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.plugin != nil {
		p.plugin.Close()
		p.plugin = nil
	}
}
