package wire

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

// ProtocolVersion is the Jupyter message protocol that headers name.
const ProtocolVersion = "5.3"

// Session creates and opens the messages of one peer, as jupyter_client's Session
// does: it numbers msg_ids "<session>_<pid>_<n>", dates them
// ("2026-11-20T10:26:03.577987Z": six digits, always an offset), signs them,
// and refuses signatures seen before (replay window of 65,536). It is safe for
// concurrent use.
type Session struct {
	ID       string // the session id; an engine's uuid
	Username string // "username"; may be changed before the first message

	signer  *Signer
	codec   codec
	prefix  string // prefix of msg_ids
	count   atomic.Uint64
	history history
}

// NewSession returns a session. An empty id is replaced by a random one of the
// form "xxxxxxxx-<24 hex>". codec names the packer: "json" or "msgpack.packb".
func NewSession(id string, signer *Signer, codec string) (*Session, error) {
	c, err := findCodec(codec)
	if err != nil {
		return nil, err
	}
	if id == "" {
		id = NewID()
	}
	return &Session{
		ID:       id,
		Username: "username",
		signer:   signer,
		codec:    c,
		prefix:   id + "_" + strconv.Itoa(os.Getpid()) + "_",
		history:  history{size: historySize},
	}, nil
}

// NewID returns a random id of the form "xxxxxxxx-<24 hex>", as used for session ids,
// engine uuids and keys.
func NewID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: the program exits if there is no source of randomness
	text := hex.EncodeToString(b[:])
	return text[:8] + "-" + text[8:]
}

// Signer returns the session's signer.
func (s *Session) Signer() *Signer { return s.signer }

// NewHeader returns a new header of this session.
func (s *Session) NewHeader(msgType string) Header {
	return Header{
		MsgID:    s.prefix + strconv.FormatUint(s.count.Add(1)-1, 10),
		MsgType:  msgType,
		Username: s.Username,
		Session:  s.ID,
		Date:     FormatDate(time.Now()),
		Version:  ProtocolVersion,
	}
}

// Message builds and signs a message with a new header. parent is a packed
// header or nil for {}; metadata and content are packed with the codec (nil
// for {}; json.RawMessage is used unchanged).
func (s *Session) Message(msgType string, parent []byte, metadata, content any, buffers ...[]byte) (Message, error) {
	return s.MessageWith(s.NewHeader(msgType), parent, metadata, content, buffers...)
}

// MessageWith is Message with the caller's header.
func (s *Session) MessageWith(h Header, parent []byte, metadata, content any, buffers ...[]byte) (Message, error) {
	header, err := s.packHeader(h)
	if err != nil {
		return Message{}, fmt.Errorf("message %s: header: %w", h.MsgType, err)
	}
	if len(parent) == 0 {
		if parent, err = s.codec.pack(nil); err != nil {
			return Message{}, fmt.Errorf("message %s: parent header: %w", h.MsgType, err)
		}
	}
	m := Message{Header: header, Parent: parent, Buffers: buffers}
	if m.Metadata, err = s.codec.pack(metadata); err != nil {
		return Message{}, fmt.Errorf("message %s: metadata: %w", h.MsgType, err)
	}
	if m.Content, err = s.codec.pack(content); err != nil {
		return Message{}, fmt.Errorf("message %s: content: %w", h.MsgType, err)
	}
	m.Signature = s.signer.Sign(&m)
	return m, nil
}

func (s *Session) packHeader(h Header) ([]byte, error) {
	if _, ok := s.codec.(jsonCodec); ok {
		return appendHeader(make([]byte, 0, 256), h), nil
	}
	return s.codec.pack(h)
}

// Open parses frames, verifies the signature and refuses replays. It is for peers that
// act on the content. Only verified signatures are remembered, so a forged message
// can't make a genuine one look like a replay, or evict it from the history.
func (s *Session) Open(frames [][]byte) (Message, error) {
	m, err := s.Peek(frames)
	if err != nil {
		return Message{}, err
	}
	if s.signer.Enabled() && !s.history.add(m.Signature) {
		return Message{}, ErrReplay
	}
	return m, nil
}

// Peek parses frames and verifies the signature without remembering it. It is for
// relays, whose messages another peer will open.
func (s *Session) Peek(frames [][]byte) (Message, error) {
	m, err := Parse(frames)
	if err != nil {
		return Message{}, err
	}
	if err := s.signer.Verify(&m); err != nil {
		return Message{}, err
	}
	return m, nil
}

// JSON returns a packed part as JSON text: the part itself if it is JSON.
func (s *Session) JSON(part []byte) ([]byte, error) { return plain(part) }

// PackJSON packs JSON text with the session's codec. It may return text itself.
func (s *Session) PackJSON(text []byte) ([]byte, error) { return s.codec.pack(json.RawMessage(text)) }

// Unpack decodes one packed part into v with the session's codec.
func (s *Session) Unpack(part []byte, v any) error { return s.codec.unpack(part, v) }
