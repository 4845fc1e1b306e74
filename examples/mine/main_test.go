package main

import (
	"testing"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/plugintest"
)

func TestConformance(t *testing.T) {
	plugintest.Run(t, plugintest.Config{
		Info:     sdk.Info{Name: "mine", Version: "1.0.0", Kinds: []sdk.Kind{sdk.Engine}},
		New:      func(sdk.Kind, sdk.Env) sdk.Launcher { return &mine{} },
		DefaultN: 1,
	})
}
