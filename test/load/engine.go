package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/ipcore/ipcore/core/connfile"
	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/sockets/curve"
	"github.com/ipcore/ipcore/core/wire"
)

// Engine is a synthetic engine. It has the sockets and connections of a real
// one and returns every request with "ok" and the request's large buffers.
type Engine struct {
	UUID string
	ID   int // -1 where there is nobody to register with

	session *wire.Session
	curve   *curve.Config // nil: not encrypted
	sockets []*sockets.Socket
	iopub   *sockets.Socket // nil where there is nobody to register with
	started json.RawMessage // reply metadata, as long as nothing is broadcast
}

// registerAtOnce is how many engines register at the same time, so that the
// accept queues of the machine hold.
const registerAtOnce = 128

// StartEngines connects n engines and registers them, as fast as the
// controller allows. It answers when all have been accepted; that they are
// announced, clients are told.
func StartEngines(ctx context.Context, file *connfile.Engine, n int) (Engines, error) {
	signer, err := wire.NewSigner(file.SignatureScheme, file.Key)
	if err != nil {
		return nil, err
	}
	curve, err := curveConfig(file.CurveServerKey)
	if err != nil {
		return nil, err
	}
	all := make(Engines, n)
	errs := make(chan error, n)
	turns := make(chan struct{}, registerAtOnce)
	for i := range all {
		turns <- struct{}{}
		e, err := newEngine(signer)
		if err != nil {
			errs <- err
			<-turns
			continue
		}
		e.curve = curve
		all[i] = e
		go func() {
			errs <- e.connect(ctx, file)
			<-turns
		}()
	}
	for range all {
		err = errors.Join(err, <-errs)
	}
	if err != nil {
		all.Close()
		return nil, err
	}
	return all, nil
}

// Engines are engines that end together.
type Engines []*Engine

// Close ends engines without a word, as a crash of their machine does.
func (all Engines) Close() {
	var wg sync.WaitGroup
	for _, e := range all {
		if e == nil {
			continue
		}
		for _, s := range e.sockets {
			wg.Go(func() { _ = s.Close(0) }) // nothing is left to be written
		}
	}
	wg.Wait()
}

func newEngine(signer *wire.Signer) (*Engine, error) {
	session, err := wire.NewSession("", signer, "json")
	if err != nil {
		return nil, err
	}
	e := &Engine{UUID: session.ID, ID: -1, session: session}
	e.started = e.metadata(wire.Metadata{})
	return e, nil
}

func (e *Engine) open(kind sockets.Kind, handler func(*sockets.Conn, [][]byte), urls ...string) (*sockets.Socket, error) {
	s := sockets.New(kind, sockets.Options{Identity: []byte(e.UUID), Handler: handler, Curve: e.curve})
	e.sockets = append(e.sockets, s)
	if kind == sockets.Sub {
		s.Subscribe(nil)
	}
	for _, url := range urls {
		if err := s.Dial(url); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// connect registers and opens what a real engine opens. Without a registration
// port it connects to mux alone.
func (e *Engine) connect(ctx context.Context, f *connfile.Engine) error {
	if f.Registration == 0 {
		_, err := e.open(sockets.Router, e.answer, f.URL(f.Mux))
		return err
	}
	if err := e.register(ctx, f); err != nil {
		return err
	}
	shell := []string{f.URL(f.Mux), f.URL(f.Task), f.URL(f.Broadcast[e.ID%len(f.Broadcast)])}
	if _, err := e.open(sockets.Router, e.answer, shell...); err != nil {
		return err
	}
	if _, err := e.open(sockets.Router, e.answer, f.URL(f.Control)); err != nil {
		return err
	}
	var err error
	if e.iopub, err = e.open(sockets.Pub, nil, f.URL(f.IOPub)); err != nil {
		return err
	}
	pong, err := e.open(sockets.Dealer, nil, f.URL(f.HBPong))
	if err != nil {
		return err
	}
	_, err = e.open(sockets.Sub, func(_ *sockets.Conn, frames [][]byte) {
		_ = pong.Enqueue(frames...) // a beat that is lost is missed, as it should be
	}, f.URL(f.HBPing))
	return err
}

// Print publishes text as printed by a request with this header. Nothing holds
// an engine up that prints faster than the controller reads.
func (e *Engine) Print(request json.RawMessage, text string) error {
	m, err := e.session.Message("stream", request, nil, map[string]string{"name": "stdout", "text": text})
	if err != nil {
		return err
	}
	m.Idents = [][]byte{fmt.Appendf(nil, "engine.%d.stdout", e.ID)}
	return e.iopub.Send(m.AppendFrames(nil)...)
}

func (e *Engine) register(ctx context.Context, f *connfile.Engine) error {
	reply := make(chan []byte, 1)
	query, err := e.open(sockets.Dealer, func(_ *sockets.Conn, frames [][]byte) {
		if m, err := wire.Parse(frames); err == nil {
			select {
			case reply <- bytes.Clone(m.Content):
			default:
			}
		}
	}, f.URL(f.Registration))
	if err != nil {
		return err
	}
	m, err := e.session.Message("registration_request", nil, nil, map[string]any{"uuid": e.UUID})
	if err != nil {
		return err
	}
	if err := query.Send(m.AppendFrames(nil)...); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return fmt.Errorf("engine not registered: %w", ctx.Err())
	case content := <-reply:
		var accepted struct {
			Status string
			ID     int
		}
		if err := json.Unmarshal(content, &accepted); err != nil || accepted.Status != "ok" {
			return fmt.Errorf("engine not registered: %s", content)
		}
		e.ID = accepted.ID
		return nil
	}
}

var (
	content      = json.RawMessage(`{"status": "ok"}`)
	isBroadcast  = []byte(`"is_broadcast"`)
	resultBuffer = []byte("\x80\x04N.") // the pickle of None
)

// answer replies to a request where it came from. It does not check signatures:
// that would be the generator's CPU, not the controller's.
func (e *Engine) answer(c *sockets.Conn, frames [][]byte) {
	m, err := wire.Parse(frames)
	if err != nil {
		return
	}
	kind := "apply_reply"
	if bytes.Contains(m.Header, []byte(`"execute_request"`)) {
		kind = "execute_reply"
	}
	metadata := e.started
	if bytes.Contains(m.Metadata, isBroadcast) {
		sent, err := wire.PeekMetadata(m.Metadata)
		if err != nil {
			return
		}
		metadata = e.metadata(sent)
	}
	buffers := [][]byte{resultBuffer}
	for _, b := range m.Buffers {
		if len(b) >= sockets.LargeFrame {
			buffers = append(buffers, b)
		}
	}
	reply, err := e.session.Message(kind, m.Header, metadata, content, buffers...)
	if err != nil {
		return
	}
	reply.Idents = m.Idents
	_ = c.Enqueue(reply.AppendFrames(frames[:0:0])...) // if the controller has exited, the load reports it
}

// metadata returns that of a reply to a request with the given one.
func (e *Engine) metadata(m wire.Metadata) json.RawMessage {
	return fmt.Appendf(nil, `{"started": %q, "dependencies_met": true, "engine": %q, "is_broadcast": %s, "is_coalescing": %s, `+
		`"original_msg_id": %q, "label": null, "status": "ok"}`,
		wire.FormatDate(time.Now()), e.UUID, strconv.FormatBool(m.IsBroadcast), strconv.FormatBool(m.IsCoalescing), m.OriginalMsgID)
}
