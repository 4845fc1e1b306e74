package zmtp

import (
	"bytes"
	"fmt"

	"github.com/go-zeromq/zmq4"
)

// Command is a kind of command that a peer may send after the handshake.
type Command int

// The commands that ParseCommand knows. Others are UnknownCommand and are to be
// ignored, because later revisions of the protocol may send them.
const (
	UnknownCommand Command = iota
	Ping                   // the rest is a context, to be returned in a PONG
	Subscribe              // the rest is a topic
	Cancel                 // ends a subscription; the rest is its topic
)

// A command is its name, behind the length of the name in one byte, and the rest.
var (
	ping      = []byte("\x04PING")
	subscribe = []byte("\x09SUBSCRIBE")
	cancel    = []byte("\x06CANCEL")
)

// Pong is the beginning of a PONG. The context of the PING follows it.
const Pong = "\x04PONG"

const (
	pingTTL     = 2  // bytes between PING and its context
	pingContext = 16 // longest context
)

// ParseCommand reads the body of a command frame. rest is a part of body. The error is
// a ProtocolError.
func ParseCommand(body []byte) (kind Command, rest []byte, err error) {
	if rest, ok := bytes.CutPrefix(body, ping); ok {
		if len(rest) < pingTTL || len(rest) > pingTTL+pingContext {
			return Ping, nil, ProtocolError("malformed PING")
		}
		return Ping, rest[pingTTL:], nil
	}
	if rest, ok := bytes.CutPrefix(body, subscribe); ok {
		return Subscribe, rest, nil
	}
	if rest, ok := bytes.CutPrefix(body, cancel); ok {
		return Cancel, rest, nil
	}
	return UnknownCommand, nil, nil
}

// ZMTP 3.0 sends subscriptions as messages of one frame: one of these bytes and the
// topic. ZMTP 3.1 sends them as commands.
const (
	cancelByte    = 0
	subscribeByte = 1
)

// SubscribeMessage returns the frame of the message that subscribes to topic.
func SubscribeMessage(topic string) []byte { return append([]byte{subscribeByte}, topic...) }

// ParseSubscription reads a message that starts (on) or ends a subscription. topic is a
// part of the message. It returns false for any other message.
func ParseSubscription(frames [][]byte) (topic []byte, on, ok bool) {
	if len(frames) != 1 || len(frames[0]) == 0 || frames[0][0] > subscribeByte {
		return nil, false, false
	}
	return frames[0][1:], frames[0][0] != cancelByte, true
}

// AppendError appends a command frame to b that reports why a handshake fails. reason
// has at most 200 bytes.
func AppendError(b []byte, reason string) []byte {
	const name = "\x05ERROR"
	b = append(b, FlagCommand, byte(len(name)+1+len(reason)))
	b = append(append(b, name...), byte(len(reason)))
	return append(b, reason...)
}

// ReceiveCommand reads the next command of a handshake, which must have this name, and
// returns its body.
func ReceiveCommand(conn *zmq4.Conn, name string) ([]byte, error) {
	cmd, err := conn.RecvCmd()
	if err != nil {
		return nil, err
	}
	if cmd.Name != name {
		return nil, fmt.Errorf("command %.20s instead of %s", Printable([]byte(cmd.Name)), name)
	}
	return cmd.Body, nil
}
