package wire

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Header is a decoded message header (Jupyter message protocol 5.3).
type Header struct {
	MsgID    string `json:"msg_id"`
	MsgType  string `json:"msg_type"`
	Username string `json:"username"`
	Session  string `json:"session"`
	Date     string `json:"date"`
	Version  string `json:"version"`
}

// PeekHeader decodes a header without reflection, for the hot path. Fields that are
// absent or null stay empty. The strings share one copy of packed.
func PeekHeader(packed []byte) (Header, error) { return readHeader(packed, newScanner) }

// ViewHeader is PeekHeader without the copy: the strings may be views of packed,
// which must not be modified afterwards.
func ViewHeader(packed []byte) (Header, error) { return readHeader(packed, viewScanner) }

// ViewID returns the msg_id that ViewHeader would return. If the header has the usual
// form, in which Python and this package write it, the rest is not checked.
func ViewID(packed []byte) (string, error) {
	s := viewScanner(packed)
	if key := headerKeys[0]; strings.HasPrefix(s.text, key) {
		s.pos = len(key)
		if s.plain(); s.at('"') {
			return s.text[len(key):s.pos], nil
		}
	}
	h, err := ViewHeader(packed)
	return h.MsgID, err
}

func readHeader(packed []byte, scan func([]byte) scanner) (Header, error) {
	var h Header
	packed, err := plain(packed)
	if err != nil {
		return h, fmt.Errorf("header: %w", err)
	}
	s := scan(packed)
	if quickHeader(&s, &h) {
		return h, nil
	}
	h = Header{}
	s.pos = 0
	err = s.object(func(key string) error {
		switch key {
		case "msg_id":
			return s.stringOrNull(&h.MsgID)
		case "msg_type":
			return s.stringOrNull(&h.MsgType)
		case "username":
			return s.stringOrNull(&h.Username)
		case "session":
			return s.stringOrNull(&h.Session)
		case "date":
			return s.stringOrNull(&h.Date)
		case "version":
			return s.stringOrNull(&h.Version)
		}
		return s.skip()
	})
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return Header{}, fmt.Errorf("header: %w", err)
	}
	return h, nil
}

// headerKeys are the fields of a header in the order and form in which Python and
// this package write them.
var headerKeys = [...]string{`{"msg_id": "`, `", "msg_type": "`, `", "username": "`, `", "session": "`, `", "date": "`, `", "version": "`}

// quickHeader decodes a header that has exactly this form and no escapes. If it
// returns false, the state of s and h is undefined.
func quickHeader(s *scanner, h *Header) bool {
	fields := [...]*string{&h.MsgID, &h.MsgType, &h.Username, &h.Session, &h.Date, &h.Version}
	for i, key := range headerKeys {
		if !strings.HasPrefix(s.text[s.pos:], key) {
			return false
		}
		s.pos += len(key)
		start := s.pos
		s.plain()
		*fields[i] = s.text[start:s.pos]
	}
	return s.text[s.pos:] == `"}`
}

// appendHeader packs a header as JSON.
func appendHeader(dst []byte, h Header) []byte {
	dst = append(dst, `{"msg_id": `...)
	dst = AppendString(dst, h.MsgID)
	dst = append(dst, `, "msg_type": `...)
	dst = AppendString(dst, h.MsgType)
	dst = append(dst, `, "username": `...)
	dst = AppendString(dst, h.Username)
	dst = append(dst, `, "session": `...)
	dst = AppendString(dst, h.Session)
	dst = append(dst, `, "date": `...)
	dst = AppendString(dst, h.Date)
	dst = append(dst, `, "version": `...)
	dst = AppendString(dst, h.Version)
	return append(dst, '}')
}

// AppendString appends a JSON string. Bytes that are not UTF-8 become U+FFFD.
func AppendString(dst []byte, s string) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	plain := 0 // start of the bytes that need no escape
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf && plainByte[c] && c != 0x7f {
			i++
			continue
		}
		dst = append(dst, s[plain:i]...)
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
			i++
		case c < utf8.RuneSelf:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
			i++
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += size
		}
		plain = i
	}
	return append(append(dst, s[plain:]...), '"')
}
