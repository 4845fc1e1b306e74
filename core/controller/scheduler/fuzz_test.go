package scheduler

import (
	"fmt"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/controller/monitor"
	"github.com/ipcore/ipcore/core/wire"
)

// FuzzMessages gives tasks and replies with any header and metadata to a scheduler
// that checks no signatures. Nothing may break it, and each task that it accepts
// gets at most one reply.
func FuzzMessages(f *testing.F) {
	f.Add([]byte(`{"msg_id": "b"}`), []byte(`{"after": ["a"], "follow": [], "retries": 2, "targets": ["U0"]}`), []byte(`{"status": "error"}`))
	f.Add([]byte(`{"msg_id": "b"}`), []byte(`{"follow": {"dependencies": ["a", "a"], "all": false, "success": false, "failure": true}, "timeout": 1e300}`), []byte(`{"dependencies_met": false}`))
	f.Add([]byte(`{"msg_id": "a"}`), []byte(`{"retries": -5, "timeout": -1}`), []byte(`{}`))
	f.Add([]byte(`{}`), []byte(`[]`), []byte(``))
	signer, err := wire.NewSigner("hmac-sha256", "")
	if err != nil {
		f.Fatal(err)
	}
	session, err := wire.NewSession("fuzz", signer, "json")
	if err != nil {
		f.Fatal(err)
	}
	frames := func(header, parent, metadata []byte) [][]byte {
		return [][]byte{[]byte(wire.Delimiter), {}, header, parent, metadata, []byte("{}")}
	}
	f.Fuzz(func(t *testing.T, header, metadata, answer []byte) {
		w := &answerCounter{answers: map[string]int{}}
		s, err := New(Options{Session: session, Link: w, Monitor: w, Log: hclog.NewNullLogger()})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			s.machine.engineUp(fmt.Sprint("U", i))
		}
		_ = s.Submit([]byte("C"), frames([]byte(`{"msg_id": "a"}`), []byte("{}"), []byte("{}")))
		_ = s.Submit([]byte("C"), frames(header, []byte("{}"), metadata)) // it may be refused
		s.ProcessPending()
		for range 20 {
			for i := range 2 {
				_ = s.Result(fmt.Sprint("U", i), frames([]byte("{}"), []byte(`{"msg_id": "a"}`), []byte(`{"status": "ok"}`)))
				_ = s.Result(fmt.Sprint("U", i), frames([]byte("{}"), header, answer))
				s.ProcessPending()
			}
		}
		for i := range 2 {
			s.machine.engineDown(fmt.Sprint("U", i))
		}
		for id, n := range w.answers {
			if n > 1 {
				t.Errorf("%q got %d replies", id, n)
			}
		}
	})
}

// answerCounter is a Link and a Monitor that counts replies by their parents.
type answerCounter struct{ answers map[string]int }

func (*answerCounter) ToEngine(string, []byte, [][]byte) error { return nil }
func (c *answerCounter) ToClient(_ []byte, _ string, msg [][]byte) {
	const parent = 3
	if h, err := wire.PeekHeader(msg[parent]); err == nil {
		c.answers[h.MsgID]++
	}
}
func (*answerCounter) NoReply([]byte)                         {}
func (*answerCounter) Flush()                                 {}
func (*answerCounter) Submitted([][]byte, monitor.Submission) {}
func (*answerCounter) Assigned(string, string)                {}
func (*answerCounter) Answered([][]byte, monitor.Answer)      {}
