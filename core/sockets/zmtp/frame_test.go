package zmtp

import (
	"bytes"
	"errors"
	"testing"
)

func TestHeaders(t *testing.T) {
	for _, n := range []int{0, 1, 254, 255, 256, 1 << 20, 1 << 40} {
		var h [LongHeader]byte
		written := PutHeader(&h, FlagMore, n)
		flags, body, size := ParseHeader(written)
		if flags&^FlagLong != FlagMore || body != uint64(n) || size != len(written) {
			t.Errorf("a body of %d bytes: flags %#x, %d bytes, header of %d", n, flags, body, size)
		}
		for cut := range written {
			if _, _, size := ParseHeader(written[:cut]); size != 0 {
				t.Errorf("a body of %d bytes: %d bytes of the header are enough", n, cut)
			}
		}
	}
}

func TestCommands(t *testing.T) {
	for body, want := range map[string]struct {
		kind Command
		rest string
		bad  bool
	}{
		"\x04PING\x00\x00context":           {Ping, "context", false},
		"\x04PING\x00":                      {Ping, "", true},
		"\x04PING\x00\x0012345678901234567": {Ping, "", true},
		"\x09SUBSCRIBEtopic":                {Subscribe, "topic", false},
		"\x06CANCELtopic":                   {Cancel, "topic", false},
		"\x04JOINgroup":                     {UnknownCommand, "", false},
		"":                                  {UnknownCommand, "", false},
	} {
		kind, rest, err := ParseCommand([]byte(body))
		var protocol ProtocolError
		if kind != want.kind || string(rest) != want.rest || errors.As(err, &protocol) != want.bad {
			t.Errorf("%q: %d, %q, %v", body, kind, rest, err)
		}
	}
}

func TestSubscriptionMessages(t *testing.T) {
	if topic, on, ok := ParseSubscription([][]byte{SubscribeMessage("topic")}); !ok || !on || string(topic) != "topic" {
		t.Errorf("%q, %v, %v", topic, on, ok)
	}
	if topic, on, ok := ParseSubscription([][]byte{[]byte("\x00topic")}); !ok || on || string(topic) != "topic" {
		t.Errorf("%q, %v, %v", topic, on, ok)
	}
	for _, other := range [][][]byte{nil, {nil}, {[]byte("\x02topic")}, {[]byte("\x01topic"), nil}} {
		if _, _, ok := ParseSubscription(other); ok {
			t.Errorf("%q is taken for a subscription", other)
		}
	}
}

// The bytes of a refusal that a libzmq peer understands.
func TestGreetingAndError(t *testing.T) {
	g := Greeting("NULL")
	if len(g) != GreetingSize || Mechanism(g) != "NULL" || !bytes.HasPrefix(g, []byte("\xff\x00\x00\x00\x00\x00\x00\x00\x00\x7f\x03\x00NULL\x00")) {
		t.Errorf("greeting %q", g)
	}
	if b := AppendError(nil, "bad"); string(b) != "\x04\x0a\x05ERROR\x03bad" {
		t.Errorf("error %q", b)
	}
}
