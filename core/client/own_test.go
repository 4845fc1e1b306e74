//go:build unix

package client

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/controller"
	"github.com/ipcore/ipcore/core/engine"
	"github.com/ipcore/ipcore/core/profile"
)

// TestOwnCluster runs the client against our controller and native engines, with each
// packer.
func TestOwnCluster(t *testing.T) {
	for _, packer := range []string{"json", "msgpack"} {
		t.Run(packer, func(t *testing.T) { testOwnCluster(t, packer) })
	}
}

func testOwnCluster(t *testing.T, packer string) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("needs python3")
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	ready := make(chan string, 1)
	ended := make(chan error, 3)
	dir := profile.Profile{Dir: t.TempDir()}
	log := hclog.New(&hclog.LoggerOptions{Output: t.Output(), Level: hclog.Warn})
	go func() {
		ended <- controller.Run(ctx, controller.Options{
			Profile: dir, Packer: packer, Log: log.Named("controller"),
			Ready: func(file, _ string) { ready <- file },
		})
	}()
	var file string
	select {
	case file = <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	for range 2 {
		go func() { ended <- engine.Run(ctx, engine.Options{Profile: dir, Log: log.Named("engine")}) }()
	}
	testCluster(t, file, true)
	for range 3 {
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("controller or engine did not end after Shutdown")
		}
	}
}
