package cluster

import (
	"context"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/client"
)

// controllerView is what a Cluster knows of the engines that have registered with a
// controller, which is named by its client's connection file. Tests replace it.
type controllerView interface {
	// WaitEngines waits until n engines have registered, and calls have with the number
	// of engines so far. It returns ctx's error at the latest when ctx ends.
	WaitEngines(ctx context.Context, clientFile string, n int, have func(int)) error

	// CountEngines returns how many engines are registered.
	CountEngines(ctx context.Context, clientFile string) (int, error)

	// WatchEngines calls lost whenever there are fewer engines than before. It returns
	// when ctx or the controller ends.
	WatchEngines(ctx context.Context, clientFile string, lost func()) error
}

// clientView is the view of an ordinary client of the controller.
type clientView struct{ log hclog.Logger }

func (v clientView) WaitEngines(ctx context.Context, clientFile string, n int, have func(int)) error {
	c, err := client.Connect(ctx, client.Options{File: clientFile, Log: v.log})
	if err != nil {
		return err
	}
	defer c.Close()
	return c.WaitForEngines(ctx, n, have)
}

func (v clientView) CountEngines(ctx context.Context, clientFile string) (int, error) {
	c, err := client.Connect(ctx, client.Options{File: clientFile, Log: v.log})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return len(c.IDs()), nil
}

func (v clientView) WatchEngines(ctx context.Context, clientFile string, lost func()) error {
	c, err := client.Connect(ctx, client.Options{File: clientFile, Log: v.log})
	if err != nil {
		return err
	}
	defer c.Close()
	before := 0
	return c.WatchEngines(ctx, func(have int) {
		if have < before {
			lost()
		}
		before = have
	})
}
