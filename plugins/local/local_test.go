package local

import (
	"testing"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/plugintest"
)

func TestConformance(t *testing.T) {
	plugintest.Run(t, plugintest.Config{Info: Info(), New: New, Prepare: func(_ *testing.T, r *sdk.StartRequest) {
		r.Options = []byte(`{"stop_seconds_until_kill": 0.5}`)
	}})
}
