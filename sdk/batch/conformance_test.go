//go:build unix

package batch

import (
	"testing"

	"github.com/ipcore/ipcore/sdk/plugintest"
)

func TestConformance(t *testing.T) {
	toyDir(t)
	s := toySystem()
	plugintest.Run(t, plugintest.Config{Info: s.Info("0"), New: s.New()})
}
