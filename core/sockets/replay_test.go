package sockets

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestReplaySendsMissedMessages(t *testing.T) {
	pub := open(t, Pub, Options{Replay: time.Minute})
	endpoint := listen(t, pub)
	send := func(topic, text string) {
		if err := pub.Send(frames(topic, text)...); err != nil {
			t.Fatal(err)
		}
	}
	send("a", "one")
	send("b", "two")
	r := newRecorder()
	sub := open(t, Sub, r.options())
	sub.Subscribe([]byte("a"))
	dial(t, sub, endpoint)
	wantFrames(t, await(t, r.messages, "message").frames, frames("a", "one"))
	send("a", "three")
	wantFrames(t, await(t, r.messages, "message").frames, frames("a", "three"))
	// A wider subscription replays only messages that the first one did not.
	sub.Subscribe(nil)
	wantFrames(t, await(t, r.messages, "message").frames, frames("b", "two"))
	send("c", "four")
	wantFrames(t, await(t, r.messages, "message").frames, frames("c", "four"))
}

func TestReplayForgets(t *testing.T) {
	r := replay{keep: time.Minute}
	for i := range 3 {
		r.add([][]byte{{byte(i)}, make([]byte, replayBytes/2)})
	}
	if len(r.messages) != 1 || r.messages[0].frames[0][0] != 2 {
		t.Errorf("%d messages are kept, want only the last of three", len(r.messages))
	}
	r.forget(time.Now().Add(2 * time.Minute))
	if len(r.messages) != 0 || r.bytes != 0 {
		t.Errorf("%d messages of %d bytes are kept for too long", len(r.messages), r.bytes)
	}
}

// TestReplayDeliversOnce subscribes while messages are published. Each subscriber must get
// every message exactly once and in order.
func TestReplayDeliversOnce(t *testing.T) {
	const publishers, each, joins = 3, 300, 8
	pub := open(t, Pub, Options{Replay: time.Minute})
	endpoint := listen(t, pub)
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				_ = pub.Send([]byte(fmt.Sprint(p)), fmt.Append(nil, i))
			}
		})
	}
	var recorders []*recorder
	for range joins {
		r := newRecorder()
		sub := open(t, Sub, r.options())
		sub.Subscribe(nil)
		dial(t, sub, endpoint)
		recorders = append(recorders, r)
	}
	wg.Wait()
	var want []string
	for i := range each {
		want = append(want, fmt.Sprint(i))
	}
	for _, r := range recorders {
		got := map[string][]string{}
		for range publishers * each {
			m := await(t, r.messages, "message")
			p := string(m.frames[0])
			got[p] = append(got[p], string(m.frames[1]))
		}
		for p, list := range got {
			if !slices.Equal(list, want) {
				t.Fatalf("messages of publisher %s: %v", p, list)
			}
		}
	}
}
