package engine

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/sockets/curve"
)

// heart replies to the controller's pings.
type heart struct {
	log       hclog.Logger
	ping      *sockets.Socket
	pong      *sockets.Socket
	beats     atomic.Uint64
	lastBeats uint64 // beats at the last check
	missed    int    // checks in a row without a beat
}

func newHeart(identity []byte, curve *curve.Config, log hclog.Logger) *heart {
	h := &heart{log: log}
	h.pong = sockets.New(sockets.Dealer, sockets.Options{Identity: identity, Curve: curve, Log: log})
	h.ping = sockets.New(sockets.Sub, sockets.Options{Curve: curve, Log: log, Handler: h.beat})
	return h
}

// start connects; from then on, pings get replies.
func (h *heart) start(ping, pong string) error {
	h.ping.Subscribe(nil)
	return errors.Join(h.pong.Dial(pong), h.ping.Dial(ping))
}

// beat sends a ping back unchanged.
func (h *heart) beat(_ *sockets.Conn, frames [][]byte) {
	h.beats.Add(1)
	if err := h.pong.Send(frames...); err != nil {
		h.log.Debug("cannot answer a ping", "error", err)
	}
}

// check is called once per period by one goroutine. It returns how many periods in a
// row had no ping.
func (h *heart) check() (missed int) {
	if beats := h.beats.Load(); beats != h.lastBeats {
		h.lastBeats, h.missed = beats, 0
	} else {
		h.missed++
	}
	return h.missed
}

func (h *heart) close(linger time.Duration) error {
	var wg sync.WaitGroup
	var pingErr error
	wg.Go(func() { pingErr = h.ping.Close(0) })
	err := h.pong.Close(min(linger, 100*time.Millisecond))
	wg.Wait()
	return errors.Join(err, pingErr)
}
