package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ipcore/ipcore/core/connfile"
	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/wire"
)

// register asks the controller for an id.
func (e *engine) register(ctx context.Context, info *connfile.Engine) error {
	replies := make(chan wire.Message, 1)
	e.registration = sockets.New(sockets.Dealer, sockets.Options{
		Identity: []byte(e.session.ID),
		Curve:    e.curve,
		Log:      e.log.Named("registration"),
		Handler: func(_ *sockets.Conn, frames [][]byte) {
			m, h, err := retainMessage(e.session, frames)
			if err != nil {
				e.log.Warn("unreadable message from the hub", "error", err)
				return
			}
			if h.MsgType != "registration_reply" {
				e.log.Debug("message of the hub", "type", h.MsgType)
				return
			}
			select {
			case replies <- m:
			default:
			}
		},
	})
	e.closers = append(e.closers, e.registration.Close)
	endpoint := info.URL(info.Registration)
	e.log.Info("Registering with controller at " + endpoint)
	if err := e.registration.Dial(endpoint); err != nil {
		return err
	}
	content := `{"uuid": ` + e.quotedUUID
	if e.opts.ID != nil {
		content += fmt.Sprintf(`, "id": %d`, *e.opts.ID)
	}
	if err := e.ask("registration_request", content+"}"); err != nil {
		return err
	}
	limit := time.NewTimer(e.opts.Timeout)
	defer limit.Stop()
	select {
	case m := <-replies:
		return e.registrationReply(&m)
	case <-limit.C:
		e.unregister("null")
		return fmt.Errorf("%w: no reply from the controller at %s after %v (is it running, with the same key?)", ErrRegistration, endpoint, e.opts.Timeout)
	case <-ctx.Done():
		e.unregister("null")
		return ctx.Err()
	}
}

// registrationReply handles the controller's reply with the assigned id.
func (e *engine) registrationReply(m *wire.Message) error {
	var reply struct {
		Status string `json:"status"`
		ID     *int   `json:"id"`
		Period int64  `json:"hb_period"` // ms
	}
	err := e.session.Unpack(m.Content, &reply)
	switch {
	case err != nil:
	case reply.Status == statusOK && reply.ID != nil && *reply.ID >= 0:
		e.mu.Lock()
		e.id = *reply.ID
		e.mu.Unlock()
		e.period = time.Duration(reply.Period) * time.Millisecond
		if reply.Period <= 0 {
			e.period = 3 * time.Second
		}
		e.log.Info(fmt.Sprintf("Completed registration with id %d", e.id), "uuid", e.session.ID)
		return nil
	default:
		err = e.session.ReplyError(m)
		if remote, ok := errors.AsType[*wire.RemoteError](err); ok {
			err = errors.New(remote.Error())
		} else if err == nil {
			err = errors.New("the reply has no id")
		}
	}
	e.unregister("null")
	return fmt.Errorf("%w: refused by the controller: %w", ErrRegistration, err)
}

// unregister notifies the hub that the engine ends. id is JSON; null cancels a
// registration in progress. The hub does not reply.
func (e *engine) unregister(id string) {
	if err := e.ask("unregistration_request", `{"id": `+id+`}`); err != nil {
		e.log.Warn("cannot unregister", "error", err)
	}
}

// ask sends a request to the hub.
func (e *engine) ask(msgType, content string) error {
	m, err := e.session.Message(msgType, nil, nil, json.RawMessage(content))
	if err != nil {
		return err
	}
	return e.registration.Send(m.AppendFrames(nil)...)
}
