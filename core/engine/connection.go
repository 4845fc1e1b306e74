package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/ipcore/ipcore/core/connfile"
)

// connectionInfo returns the controller's connection information. It waits for the
// connection file.
func connectionInfo(ctx context.Context, o *Options) (*connfile.Engine, error) {
	info, err := findInfo(ctx, o)
	if err != nil {
		return nil, err
	}
	if info.SSH != "" {
		return nil, fmt.Errorf("the controller is behind the ssh server %s, and the native engine does not open tunnels; use --engine-cmd 'python3 -m ipyparallel.engine'", info.SSH)
	}
	if strings.TrimSuffix(info.Pack, ".packb") != strings.TrimSuffix(info.Unpack, ".unpackb") {
		return nil, fmt.Errorf("the connection file names two packers, %q and %q: they must be the same", info.Pack, info.Unpack)
	}
	return info, nil
}

func findInfo(ctx context.Context, o *Options) (*connfile.Engine, error) {
	if o.Info != "" {
		info, err := connfile.ParseEngine([]byte(o.Info))
		if err != nil {
			return nil, fmt.Errorf("IPP_CONNECTION_INFO: %w", err)
		}
		return info, nil
	}
	// One check costs a few microseconds, and an interval this short adds no
	// noticeable delay to the start.
	const first, last = 2 * time.Millisecond, 50 * time.Millisecond
	deadline := time.Now().Add(o.WaitForFile)
	waited := false
	for pause := first; ; pause = min(last, pause+pause/8) {
		info, err := connfile.ReadEngine(o.File)
		if err == nil {
			o.Log.Info("Loading connection file " + o.File)
			return info, nil
		}
		if time.Now().After(deadline) {
			if errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("no connection file %s after %v: is the controller running, with this profile and cluster id?", o.File, o.WaitForFile)
			}
			return nil, err // perhaps still being written
		}
		if !waited {
			o.Log.Info("waiting for the connection file", "path", o.File, "limit", o.WaitForFile)
			waited = true
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
	}
}
