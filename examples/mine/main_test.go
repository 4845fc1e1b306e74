package main

import (
	"testing"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/plugintest"
	"github.com/ipcore/ipcore/sdk/process"
)

func TestConformance(t *testing.T) {
	plugintest.Run(t, plugintest.Config{
		Info:     sdk.Info{Name: "mine", Version: "1.0.0", Kinds: []sdk.Kind{sdk.Engine}},
		New:      func(_ sdk.Kind, env sdk.Host) sdk.Launcher { return &mine{process.Group{Changed: env.Changed}} },
		DefaultN: 1,
	})
}
