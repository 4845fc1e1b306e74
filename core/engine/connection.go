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

// connectionInfo answers where the controller is, waiting for its file.
func connectionInfo(ctx context.Context, o *Options) (*connfile.Engine, error) {
	info, err := findInfo(ctx, o)
	if err != nil {
		return nil, err
	}
	if info.SSH != "" {
		return nil, fmt.Errorf("the controller is behind the ssh server %s, and the native engine makes no tunnels; use --engine-cmd 'python3 -m ipyparallel.engine'", info.SSH)
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
	// A look costs a few microseconds, a pause of this length none of the
	// start-up time that anybody can see.
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
			return nil, err // perhaps half-written until now
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
