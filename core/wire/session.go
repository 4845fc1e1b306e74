package wire

// Header is a decoded message header (Jupyter message protocol 5.3).
type Header struct {
	MsgID    string `json:"msg_id"`
	MsgType  string `json:"msg_type"`
	Username string `json:"username"`
	Session  string `json:"session"`
	Date     string `json:"date"`
	Version  string `json:"version"`
}

// Signer signs and verifies the four packed parts of a message with HMAC
// (hashlib's guaranteed names but shake). A Signer is safe for concurrent use.
// With an empty key Sign answers an empty signature and Verify accepts all.
type Signer struct{}

// NewSigner makes a signer from a connection file's signature_scheme
// ("hmac-sha256") and key (used as text, not decoded).
func NewSigner(scheme, key string) (*Signer, error) { panic("not written yet") }

// Sign answers the signature frame of m's four packed parts: lower-case hex.
func (s *Signer) Sign(m *Message) []byte { panic("not written yet") }

// Verify checks m.Signature in constant time; ErrUnsigned or ErrBadSignature.
func (s *Signer) Verify(m *Message) error { panic("not written yet") }

// Session makes and opens messages in one peer's name, as jupyter_client's
// Session does: it numbers msg_ids "<session>_<pid>_<n>", dates them
// ("2026-11-20T10:26:03.577987Z": six digits, always an offset), signs them,
// and refuses signatures seen before (replay window of 65,536). It is safe for
// concurrent use.
type Session struct {
	ID       string // the session id; an engine's uuid
	Username string
}

// NewSession makes a session. An empty id is replaced by a random one of the
// form "xxxxxxxx-<24 hex>". codec is "json" (msgpack: next issue).
func NewSession(id string, signer *Signer, codec string) (*Session, error) { panic("not written yet") }

// NewHeader answers a fresh header of this session.
func (s *Session) NewHeader(msgType string) Header { panic("not written yet") }

// Message builds and signs a message with a fresh header. parent is a packed
// header or nil for {}; metadata and content are packed with the codec (nil
// for {}; json.RawMessage is taken as it is).
func (s *Session) Message(msgType string, parent []byte, metadata, content any, buffers ...[]byte) (Message, error) {
	panic("not written yet")
}

// MessageWith is Message with a header made by the caller.
func (s *Session) MessageWith(h Header, parent []byte, metadata, content any, buffers ...[]byte) (Message, error) {
	panic("not written yet")
}

// Open parses frames, verifies the signature and refuses replays: the way in
// for a peer that acts on the content.
func (s *Session) Open(frames [][]byte) (Message, error) { panic("not written yet") }

// Peek parses frames and verifies the signature without remembering it: the
// way in for a relay, which sees the bytes that another peer will open.
func (s *Session) Peek(frames [][]byte) (Message, error) { panic("not written yet") }

// Unpack decodes one packed part into v with the session's codec.
func (s *Session) Unpack(part []byte, v any) error { panic("not written yet") }

// PeekHeader reads the header's strings without reflection; fields that are
// absent stay empty. It is what the hot path uses.
func PeekHeader(packed []byte) (Header, error) { panic("not written yet") }
