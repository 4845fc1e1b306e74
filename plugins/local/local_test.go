package local

import (
	"testing"

	"github.com/ipcore/ipcore/sdk/plugintest"
)

func TestConformance(t *testing.T) {
	plugintest.Run(t, plugintest.Config{Info: Info(), New: New})
}
